"""Which device a name comes to on this machine, and in which arithmetic it is fast."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

Precision: TypeAlias = Literal["32-true", "bf16-mixed", "16-mixed", "64-true"]


def device_for(accelerator: str) -> torch.device:
    """The kind of device that "auto", "cpu", "gpu" or "mps" comes to on this machine."""
    there = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return torch.device("cpu") if there is None or accelerator == "cpu" else there


def fast_precision(accelerator: str) -> Precision:
    """The precision to train in: "bf16-mixed" where the device multiplies bfloat16 in hardware, else "32-true".

    It is faster there, and keeps less for the backward pass.
    """
    device = device_for(accelerator)
    if device.type == "cuda":
        is_native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        is_native = device.type == "cpu" and any(ask() for ask in asked if ask is not None)
    return "bf16-mixed" if is_native else "32-true"
