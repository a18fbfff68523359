"""Rows on two processes give the solution of one: to the gap in float64, to the bit in fixed point."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.distributed as dist
import torch.multiprocessing as mp

from spikebridge.convex import BitDictionary, DenseDictionary, ShardedDictionary, fit_sparse

from .readouts import features, targets

CUT = 27
"""Rows of the first process; no multiple of 64, and not half of them."""

CASES: dict[str, dict[str, Any]] = {
    "exact": {"loss": "softmax", "solver": "fista-fixed-point", "intercept": True, "tol": 1e-5},
    "exact-group": {"loss": "squared", "penalty": "group", "solver": "fista-fixed-point", "tol": 1e-5, "strength": 0.2},
    "fista": {"loss": "logistic", "solver": "fista", "tol": 1e-5},
    "working-set": {"loss": "logistic", "solver": "working-set", "intercept": True, "tol": 1e-8},
}


def solve(shard: slice | None, case: dict[str, Any]) -> Any:
    bits = BitDictionary.from_columns(features()[shard or slice(None)], kernels="numpy")
    dictionary = bits if shard is None else ShardedDictionary(bits)
    return fit_sparse(dictionary, targets(case["loss"]), **{"strength": 0.02, **case})


def work(rank: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    shards = [slice(0, CUT), slice(CUT, 70)]
    found = {}
    for name, case in CASES.items():
        solution = solve(shards[rank], case)
        found[f"{name} weights"], found[f"{name} intercept"] = solution.weights, solution.intercept
        found[f"{name} objective"], found[f"{name} gap"] = solution.objective, solution.certificate.relative_gap
    for loss in ("logistic", "hinge"):
        early = solve(shards[rank], {"loss": loss, "tol": 1e-15, "strength": 1e-4, "max_time": (0.0, np.inf)[rank]})
        found[f"early {loss}"] = early.weights
    np.savez(Path(folder) / f"{rank}.npz", **found)
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("shards")
    mp.spawn(work, args=(str(folder),), nprocs=2)
    return [np.load(folder / f"{rank}.npz") for rank in range(2)]


@pytest.mark.parametrize("name", CASES)
def test_all_processes_find_the_solution_of_one(found: list[Any], name: str) -> None:
    alone = solve(None, CASES[name])
    for answer in found:
        assert answer[f"{name} gap"] <= CASES[name]["tol"]
        assert abs(answer[f"{name} objective"] - alone.objective) <= CASES[name]["tol"] * alone.objective
    assert 0 < len(alone.support) < 25


@pytest.mark.parametrize("name", ["exact", "exact-group"])
def test_fixed_point_gives_the_same_bits_for_any_number_of_processes(found: list[Any], name: str) -> None:
    alone = solve(None, CASES[name])
    for answer in found:
        assert np.array_equal(answer[f"{name} weights"], alone.weights)
        assert np.array_equal(answer[f"{name} intercept"], alone.intercept)


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_processes_stop_together_whoever_s_time_is_over(found: list[Any], loss: str) -> None:
    first, second = (answer[f"early {loss}"] for answer in found)
    assert np.array_equal(first, second)


def test_a_shard_needs_a_process_group_and_fixed_point_zeros_and_ones() -> None:
    with pytest.raises(RuntimeError, match="init_process_group"):
        ShardedDictionary(DenseDictionary(features()))
    with pytest.raises(ValueError, match="zeros and ones"):
        fit_sparse(features() + 0.5, targets("logistic"), solver="fista-fixed-point")
