"""Which of the processes that share a run this one is, and who of them speaks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist

_RANKS = ("SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")
"""What launchers set where they do not set RANK. Any of them may be 0 without this process being the first: a shell
inside a SLURM job has SLURM_PROCID 0 for all that it starts, and LOCAL_RANK begins anew on every machine."""

_LOST = re.compile(r"gloo|Connection (closed|reset) by peer|Broken pipe|Timed out waiting", re.IGNORECASE)


class LostProcessError(ConnectionError):
    """Another process of the same run has ended; it knows why."""


def rank() -> int:
    """The number of this process among those of one run, as its launcher told it; 0 is the first, or the only one."""
    if "RANK" in os.environ:
        return int(os.environ["RANK"])
    return next((number for number in (int(os.environ.get(name, "0")) for name in _RANKS) if number), 0)


def speaks() -> bool:
    """Whether this process says why it failed.

    Before training begins, what fails in one process fails in all of its machine, and the first of them speaks. From
    then on a failure is a process's own.
    """
    return rank() == 0 or _is_first_here() or (dist.is_available() and dist.is_initialized())


def _is_first_here() -> bool:
    if "RANK" not in os.environ and "SLURM_PROCID" not in os.environ:
        return True  # started by the first process, which came this far without failing
    return int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))) == 0


@contextmanager
def lost_processes_named() -> Iterator[None]:
    """In the block, what torch.distributed raises when another process has ended becomes :class:`LostProcessError`.

    Raises:  LostProcessError: another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_loss(error):
            raise
        raise LostProcessError("another process of this run has failed or was stopped") from error


def _is_loss(error: RuntimeError) -> bool:
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return False
    return isinstance(error, dist.DistError) or bool(_LOST.search(str(error)))
