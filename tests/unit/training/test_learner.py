"""The parts that Lightning drives: what they compute, share out, and keep."""

from __future__ import annotations

from functools import partial
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from spikebridge import LIF, QCFS, Direct, OverTime, SpikingNetwork
from spikebridge.models import MODELS
from spikebridge.training import Batches, Learner, Machines, PerStepCrossEntropy, compiler_problem, fit, load_weights
from spikebridge.training.batches import EpochOrder
from spikebridge.training.callbacks import EpochMetrics
from spikebridge.training.checkpoint import read_checkpoint
from spikebridge.training.synced import SyncedBatchNorm, SyncEverywhere


def samples(number: int = 24) -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    return TensorDataset(torch.rand(number, 6, generator=generator), torch.arange(number) % 3)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def spiking() -> nn.Module:
    body = nn.Sequential(OverTime(nn.Linear(6, 8), nn.BatchNorm1d(8)), LIF(learn_decay=True), OverTime(nn.Linear(8, 3)))
    return SpikingNetwork(body, encoder=Direct(time_steps=3))


def batches_of(loader: Any, epoch: int) -> list[list[int]]:
    loader.sampler.set_epoch(epoch)
    return [[round(value) for value in values[:, 0].tolist()] for values, _ in loader]


def shared(rank: int, processes: int) -> Any:
    numbered = TensorDataset(torch.arange(24.0)[:, None], torch.zeros(24))
    parts = Batches(numbered, numbered, batch_size=8, seed=3)
    parts.trainer = SimpleNamespace(world_size=processes, global_rank=rank)  # type: ignore[assignment]
    return parts


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_together_see_the_batches_that_one_sees(processes: int, epoch: int) -> None:
    whole = batches_of(shared(0, 1).train_dataloader(), epoch)
    parts = [batches_of(shared(rank, processes).train_dataloader(), epoch) for rank in range(processes)]
    assert len(whole) == 3
    for index, batch in enumerate(whole):
        assert sorted(batch) == sorted(sample for part in parts for sample in part[index])


def test_the_order_differs_by_epoch_and_by_seed_alone() -> None:
    first, second = (batches_of(shared(0, 1).train_dataloader(), epoch) for epoch in (0, 1))
    assert first != second
    assert first == batches_of(shared(0, 1).train_dataloader(), 0)
    assert sorted(chain(*first)) == list(range(24))
    assert list(chain(*batches_of(shared(0, 1).val_dataloader(), 0))) == list(range(24))


@pytest.mark.parametrize("size", [7, 23, 26])
def test_no_sample_is_seen_twice_where_processes_cannot_share_evenly(size: int) -> None:
    orders = [
        EpochOrder(TensorDataset(torch.arange(size)), processes=4, rank=rank, shuffle=shuffle, seed=0)
        for shuffle in (True, False)
        for rank in range(4)
    ]
    training, validation = [list(order) for order in orders[:4]], [list(order) for order in orders[4:]]
    assert {len(part) for part in training} == {size // 4}
    assert len(set(chain(*training))) == size // 4 * 4
    assert sorted(chain(*validation)) == list(range(size))
    assert [len(part) for part in validation] == [len(order) for order in orders[4:]]


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"a batch size that 3 processes can share evenly; got 8. Take a multiple of 3"
    ):
        shared(0, 3).train_dataloader()


@pytest.mark.parametrize("make", [network, spiking])
def test_training_steps_lower_the_loss_and_log_it(make: Any) -> None:
    fitted = fit(
        Learner(make(), optimiser=partial(torch.optim.AdamW, lr=0.05)),
        Batches(samples(), samples(), batch_size=8, seed=0),
        epochs=12,
        show_progress=False,
    )
    assert fitted.epochs[-1]["train/loss"] < fitted.epochs[0]["train/loss"]
    assert len(fitted.epochs) == 12
    assert not fitted.network.training
    assert fitted.seconds > 0


@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_and_a_whole_run_are_the_same_to_the_bit(workers: int, tmp_path: Path) -> None:
    # Dropout and the order of samples draw; both follow from the seed and the epoch.
    torch.manual_seed(5)
    whole, parts = network(), network()
    parts.load_state_dict(whole.state_dict())
    data = partial(Batches, samples(), samples(), batch_size=8, seed=2, workers=workers)
    expected = fit(Learner(whole, warm_up=0.5), data(), epochs=4, folder=tmp_path / "a", show_progress=False)

    class Stop(EpochMetrics):
        def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
            if trainer.current_epoch == 2:
                raise RuntimeError("power cut")

    folder = tmp_path / "b"
    with pytest.raises(RuntimeError, match="power cut"):
        fit(Learner(parts, warm_up=0.5), data(), epochs=4, folder=folder, callbacks=(Stop(),), show_progress=False)
    folder = folder.rename(tmp_path / "moved")
    torch.manual_seed(99)
    again = fit(Learner(network(), warm_up=0.5), data(), epochs=4, folder=folder, resume=True, show_progress=False)
    assert again.epochs == expected.epochs
    assert (folder / "best.safetensors").read_bytes() == (tmp_path / "a" / "best.safetensors").read_bytes()
    pairs = zip(again.network.state_dict().values(), expected.network.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_resuming_needs_a_folder_and_a_checkpoint(tmp_path: Path) -> None:
    data = Batches(samples(), batch_size=8, seed=0)
    with pytest.raises(ValueError, match="expects a folder to resume from"):
        fit(Learner(network()), data, epochs=1, resume=True, show_progress=False)
    with pytest.raises(FileNotFoundError, match="There is nothing to resume"):
        fit(Learner(network()), data, epochs=1, folder=tmp_path, resume=True, show_progress=False)


def test_the_objective_sees_every_step() -> None:
    seen: list[tuple[int, ...]] = []

    def objective(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append(tuple(outputs.shape))
        return PerStepCrossEntropy()(outputs, targets)

    for make, steps in ((network, 1), (spiking, 3)):
        seen.clear()
        learner = Learner(make(), objective=objective)
        fit(learner, Batches(samples(), batch_size=8, seed=0), epochs=1, show_progress=False)
        assert seen == [(steps, 8, 3)] * 3


def test_augmentation_and_mixing_happen_in_training_only() -> None:
    calls: list[str] = []

    def augment(values: Tensor) -> Tensor:
        calls.append("augment")
        return values

    def mix(values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        calls.append("mix")
        return values, targets

    learner = Learner(network(), augment=augment, mix=mix)
    fit(learner, Batches(samples(), samples(), batch_size=8, seed=0), epochs=1, show_progress=False)
    assert calls == ["augment", "mix"] * 3


def test_channels_last_changes_the_layout_and_nothing_else() -> None:
    images = torch.rand(4, 1, 8, 8)
    plain = MODELS["cnn"](activation=QCFS)
    learner = Learner(MODELS["cnn"](activation=QCFS), channels_last=True)
    learner.model.load_state_dict(plain.state_dict())
    assert learner.model[2][0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(learner.model.eval()(learner._placed(images)), plain.eval()(images))


def test_compiled_training_learns_the_same() -> None:
    if problem := compiler_problem():
        pytest.skip(f"torch.compile does not work on this machine: {problem}")
    losses = []
    for compiled in (False, True):
        torch.manual_seed(0)
        learner = Learner(nn.Sequential(nn.Linear(6, 8), QCFS(levels=4), nn.Linear(8, 3)), compiled=compiled)
        fitted = fit(learner, Batches(samples(), batch_size=8, seed=0), epochs=2, show_progress=False)
        losses.append([epoch["train/loss"] for epoch in fitted.epochs])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_devices_that_are_not_there_are_refused_in_words() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match=r"(?i)gpu"):
        fit(
            Learner(network()),
            Batches(samples(), batch_size=8, seed=0),
            epochs=1,
            machines=Machines(accelerator="gpu"),
            show_progress=False,
        )


@pytest.mark.parametrize(("device", "kind"), [("cpu", SyncedBatchNorm), ("cuda", nn.SyncBatchNorm)])
def test_synced_norms_keep_their_objects_and_come_back(device: str, kind: type[nn.Module]) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.BatchNorm1d(3)))
    before = [(id(module), type(module), set(vars(module))) for module in model.modules()]
    names = list(model.state_dict())
    x = torch.rand(4, 1, 5, 5)
    expected = model[:2](x)
    model[1].reset_running_stats()
    sync = SyncEverywhere(torch.device(device))
    sync.apply(model)
    assert [type(model[1]), type(model[2][0])] == [kind, kind]
    torch.testing.assert_close(model[:2](x), expected)  # one process has nothing to exchange
    sync.apply(model)  # as a second fit would
    sync.revert(model)
    assert [(id(module), type(module), set(vars(module))) for module in model.modules()] == before
    assert list(model.state_dict()) == names


class Weighted(nn.Module):
    """An objective with something to remember, and to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor([1.0, 2.0, 3.0]))
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.mean(0) * self.scale, targets, weight=self.weight)


def test_weights_are_read_without_what_the_objective_keeps(tmp_path: Path) -> None:
    def learner() -> Learner:
        return Learner(network(), objective=Weighted())

    data = Batches(samples(), batch_size=8, seed=0)
    fitted = fit(learner(), data, epochs=1, folder=tmp_path, show_progress=False)
    assert "objective.weight" in read_checkpoint(tmp_path / "last.safetensors")["state_dict"]
    loaded = load_weights(network(), tmp_path / "last.safetensors").state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in fitted.network.state_dict().items())
    again = fit(learner(), data, epochs=2, folder=tmp_path, resume=True, show_progress=False)
    assert len(again.epochs) == 2
