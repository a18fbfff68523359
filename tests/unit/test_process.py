"""Which process of a run this is, told by whatever launched it."""

from __future__ import annotations

import pytest
import torch.distributed as dist

from spikebridge.core.process import LostProcessError, lost_processes_named, rank, speaks

VARIABLES = ("RANK", "SLURM_PROCID", "SLURM_LOCALID", "LOCAL_RANK", "NODE_RANK")
LAUNCHES: dict[str, tuple[dict[str, str], int, bool]] = {
    "alone": ({}, 0, True),
    "torchrun": ({"RANK": "9", "LOCAL_RANK": "1"}, 9, False),
    "torchrun, first of its machine": ({"RANK": "8", "LOCAL_RANK": "0"}, 8, True),
    "torchrun, first": ({"RANK": "0", "LOCAL_RANK": "0"}, 0, True),
    "torchrun in a SLURM job": ({"RANK": "0", "LOCAL_RANK": "0", "SLURM_PROCID": "1"}, 0, True),
    "srun": ({"SLURM_PROCID": "9", "SLURM_LOCALID": "1"}, 9, False),
    "srun, first of its machine": ({"SLURM_PROCID": "8", "SLURM_LOCALID": "0"}, 8, True),
    "the trainer": ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, 1, True),
    "the trainer, in a shell of a SLURM job": (
        {"LOCAL_RANK": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
        1,
        False,
    ),
    "by hand on another machine": ({"NODE_RANK": "1"}, 1, True),
}


@pytest.mark.parametrize("launch", LAUNCHES)
def test_rank_and_who_speaks_follow_from_the_launcher(launch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables, number, is_heard = LAUNCHES[launch]
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (rank(), speaks()) == (number, is_heard)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1"),
        dist.DistBackendError("NCCL error: remote process exited"),
    ],
    ids=["gloo", "nccl"],
)
def test_a_lost_process_is_told_from_other_errors(error: RuntimeError, monkeypatch: pytest.MonkeyPatch) -> None:
    def raised(error: RuntimeError) -> None:
        with lost_processes_named():
            raise error

    with pytest.raises(RuntimeError, match=r"gloo|NCCL"):
        raised(error)  # one process alone can lose none
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    with pytest.raises(LostProcessError, match="another process of this run has failed or was stopped"):
        raised(error)
    with pytest.raises(RuntimeError, match="shapes"):
        raised(RuntimeError("shapes do not fit"))
