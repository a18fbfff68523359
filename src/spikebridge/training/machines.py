"""Where training runs: which devices, how many machines, how they share the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from ..core.devices import Precision, device_for


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Where training runs; Lightning and torch.distributed do the rest.

    Args:
        accelerator: "auto", "cpu", "gpu", ...
        devices: per machine: a number, or "auto".
        num_nodes: number of machines.
        strategy: "auto", "ddp" or "fsdp".
        precision: "32-true", "bf16-mixed", ...
    """

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: int | Literal["auto"] = "auto"
    num_nodes: int = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    precision: Precision = "32-true"

    @property
    def device(self) -> torch.device:
        """The kind of device that computes; the CPU where the accelerator asked for is not there."""
        return device_for(self.accelerator)
