"""Norms of trains on two processes: what they compute, learn and remember is what one process does with all samples."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from spikebridge import StepNorm
from spikebridge.training.synced import SyncedStepNorm, SyncEverywhere

TIME, FEATURES, SHARES = 4, 3, (2, 5)
"""Of the batch, two samples are with the first process and five with the second."""

MODES = ("joint", "per-step", "reference", "step-affine")
ROUNDING = 1e-10
"""Of sums in float64, taken in another order."""


def trains() -> list[Tensor]:
    """Two batches, whose steps differ."""
    generator = torch.Generator().manual_seed(0)
    steps = torch.arange(TIME, dtype=torch.float64).reshape(-1, 1, 1, 1, 1)
    return [
        torch.randn(TIME, sum(SHARES), FEATURES, 2, 2, generator=generator, dtype=torch.float64) * (1 + steps) + steps
        for _ in range(2)
    ]


def norm_of(mode: str, **settings: Any) -> StepNorm:
    made = StepNorm(FEATURES, time_steps=TIME, mode=mode, **settings).double()
    with torch.no_grad():
        made.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        made.bias.copy_(torch.tensor([-1.0, 0.0, 1.0]))
        if made.scale is not None and made.shift is not None:
            made.scale.copy_(torch.tensor([0.5, -1.0, 2.0, 3.0]))
            made.shift.copy_(torch.tensor([1.0, 0.0, -1.0, 2.0]))
    return made


def learned(norm: StepNorm, share: slice) -> dict[str, Tensor]:
    """Outputs and gradients of two steps in training, what is remembered after them, and an output in eval mode."""
    found: dict[str, Tensor] = {}
    for index, batch in enumerate(trains()):
        own = batch[:, share].clone().requires_grad_()
        normal = norm(own)
        (normal * torch.sin(own.detach() * 3)).sum().backward()
        found |= {f"normal {index}": normal.detach(), f"gradient {index}": own.grad}
    found |= {name: parameter.grad for name, parameter in norm.named_parameters()}
    found |= {name: held.clone() for name, held in norm.named_buffers()}
    return found | {"eval": norm.eval()(trains()[0][:, share]).detach()}


def process(rank: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    begin = sum(SHARES[:rank])
    share, found = slice(begin, begin + SHARES[rank]), {}
    for mode in MODES:
        for statistics in ("running", "batch"):
            norm = norm_of(mode, eval_statistics=statistics)
            SyncEverywhere(torch.device("cpu")).apply(nn.Sequential(norm))
            found[f"{mode} {statistics}"] = learned(norm, share)
    narrow = norm_of("joint").float()
    SyncEverywhere(torch.device("cpu")).apply(nn.Sequential(narrow))
    found["narrow"] = {"normal": narrow(trains()[0][:, share].bfloat16())}
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    folder = tmp_path_factory.mktemp("two")
    mp.spawn(process, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("mode", MODES)
def test_two_processes_normalise_and_learn_as_one(mode: str, two: list[dict[str, dict[str, Tensor]]]) -> None:
    expected = learned(norm_of(mode), slice(None))
    first, second = (found[f"{mode} running"] for found in two)
    assert first.keys() == second.keys() == expected.keys()
    for name, whole in expected.items():
        if name in ("weight", "bias", "scale", "shift"):
            joined = first[name] + second[name]
        elif name.startswith("running"):
            assert torch.equal(first[name], second[name])
            joined = first[name]
        else:
            joined = torch.cat([first[name], second[name]], 1)
        torch.testing.assert_close(joined, whole, rtol=ROUNDING, atol=ROUNDING, msg=lambda text, n=name: f"{n}: {text}")


def test_a_process_alone_would_find_other_statistics(two: list[dict[str, dict[str, Tensor]]]) -> None:
    for mode in MODES:
        alone = learned(norm_of(mode), slice(0, SHARES[0]))
        assert not torch.allclose(alone["normal 0"], two[0][f"{mode} running"]["normal 0"], atol=0.05)


def test_in_eval_mode_nothing_is_exchanged(two: list[dict[str, dict[str, Tensor]]]) -> None:
    alone = norm_of("per-step", eval_statistics="batch").eval()
    torch.testing.assert_close(two[0]["per-step batch"]["eval"], alone(trains()[0][:, : SHARES[0]]))


def test_narrow_trains_stay_narrow(two: list[dict[str, dict[str, Tensor]]]) -> None:
    assert two[0]["narrow"]["normal"].dtype == torch.bfloat16


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_norms_of_trains_keep_their_objects_and_come_back(device: str) -> None:
    model = nn.Sequential(norm_of("joint"), nn.Sequential(norm_of("reference"), nn.BatchNorm2d(2)))
    before = [(id(module), type(module), set(vars(module))) for module in model.modules()]
    expected = norm_of("joint")(trains()[0])
    sync = SyncEverywhere(torch.device(device))
    for _ in range(2):  # as a second fit would
        sync.apply(model)
        assert [type(model[0]), type(model[1][0])] == [SyncedStepNorm] * 2
    assert torch.equal(model[0](trains()[0]), expected)  # one process has nothing to exchange
    sync.revert(model)
    assert [(id(module), type(module), set(vars(module))) for module in model.modules()] == before
