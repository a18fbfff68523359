"""What a training step keeps in memory, and what to say where there was not enough."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..measure.saved import saved_peak

if TYPE_CHECKING:
    from ..training import Learner

_WIDTHS = {"32-true": 4, "bf16-mixed": 4, "16-mixed": 4, "64-true": 8}
"""Bytes of a weight, by precision; mixed ones keep their weights in float32."""

_PROBES = (2, 4)
"""Batch sizes of the two measured steps: what is kept grows in a line, from what does not depend on the batch."""


def weight_bytes(learner: Learner, *, precision: str, copies: int) -> int:
    """Memory of the parameters, their gradients and so many copies of the optimiser."""
    trained = sum(parameter.numel() for parameter in learner.parameters() if parameter.requires_grad)
    every = sum(parameter.numel() for parameter in learner.parameters())
    return _WIDTHS[precision] * (every + trained * (1 + copies))


def activation_bytes(learner: Learner, batch: tuple[Tensor, Tensor], *, size: int, precision: str) -> int:
    """An estimate of what one training step of ``size`` samples keeps from its forward for its backward pass.

    saved(n) = own + n * sample, both read off two steps of this very learner, in this precision: uncompiled, on the
    CPU. A compiled step keeps less; an allocator takes more.

    Args:
        learner: what will be trained; it is left as it was, but for the statistics of its norms and its precision.
        batch: at least four samples and their targets.
        size: samples of a step in one process.
        precision: of the run.
    """
    learner = learner.double() if precision == "64-true" else learner.float()
    few, more = (saved_bytes(learner, (batch[0][:n], batch[1][:n]), precision=precision) for n in _PROBES)
    per_sample = (more - few) / (_PROBES[1] - _PROBES[0])
    return max(0, round(few + per_sample * (size - _PROBES[0])))


def saved_bytes(learner: Learner, batch: tuple[Tensor, Tensor], *, precision: str) -> int:
    """The most that autograd holds during the forward of one training step, parameters aside."""
    values, targets = batch[0].to(next(learner.parameters()).dtype), batch[1]
    # Both halves are as wide, and every processor knows bfloat16.
    mixed = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision.endswith("mixed"))
    with saved_peak(learner) as saved, mixed, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*self.log.*")  # nobody collects this step's metrics
        learner.training_step((values, targets), 0)
    return saved.peak


def memory_problem(error: BaseException) -> str | None:
    """What to say of an error that means too little memory; None of any other.

    >>> memory_problem(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))[:56]
    'The memory did not suffice: CUDA out of memory. Tried to'
    >>> memory_problem(RuntimeError("shapes do not match")) is None
    True
    """
    is_short = isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
    if not is_short:
        return None
    lines = str(error).strip().splitlines() or ["an allocation failed"]
    reason = lines[0].rpartition("DefaultCPUAllocator: ")[2].rstrip(".")
    return (
        f"The memory did not suffice: {reason}. Take a smaller data.batch_size or fewer time-steps; `spikebridge train "
        f"--dry-run` estimates what a step keeps."
    )
