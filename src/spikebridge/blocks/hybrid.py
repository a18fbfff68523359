"""Spikes inside an ordinary network: encode, a spiking core, decode; and how that joins an analog branch."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..core.encoder import Encoder
from ..core.ranges import UNIT
from ..core.shapes import SpikeTrain, Value
from ..core.time import TimeAxis, declare_time

Mode = Literal["serial", "add", "gated"]
"""How a spiking branch joins an analog one; see :class:`Fusion`."""


class RateDecoder(nn.Module):
    """The mean over time, blind to when a spike comes.

    Shapes:  train [time, batch, *unit] -> values [batch, *unit].
    """

    def forward(self, train: SpikeTrain) -> Value:
        return train.mean(0)


class HybridBlock(nn.Module):
    """encode -> spiking core -> decode:  from values to values, so that it drops into any network.

    No neuron keeps anything between calls. In eval mode two forwards on one input are equal, unless the code is
    stochastic, and a sample's output does not depend on its batch-mates, unless the encoder's range does ("batch",
    "reference").

    Args:
        core: a network from trains to trains, such as ``nn.Sequential(OverTime(nn.Linear(64, 64)), LIF())``. It is
            told T by the encoder (see :func:`declare_time`). A core without neurons may be any module from trains to
            trains.
        encoder: the code on the way in.
        decoder: from a train to values, such as ``RateDecoder()``; None weighs each step as the encoder does,
            sum_t w_t s_t, so that order and learned weights of planes are the pair's own. Spikes then give values
            in [0, 1], whatever the range that was encoded.

    Shapes:  [batch, *unit] -> [batch, *other].
    Raises:
        TypeError: an encoder that is none; a core or a decoder that is no module; a core that gives no tensor.
        ValueError: a core that loses or changes the time axis or the batch.
    Source:  Luu, Luu, Pham, Truong, arXiv 2509.24411.

    >>> from spikebridge import LIF, BitPlane, OverTime
    >>> core = nn.Sequential(OverTime(nn.Linear(64, 32)), LIF())
    >>> HybridBlock(core, BitPlane(bits=8, value_range="running"))(torch.randn(5, 64)).shape
    torch.Size([5, 32])
    """

    def __init__(self, core: nn.Module, encoder: Encoder, decoder: nn.Module | None = None) -> None:
        super().__init__()
        if not isinstance(encoder, Encoder):
            raise TypeError(f"HybridBlock expects encoder to be one, such as BitPlane(bits=8); got {encoder!r}.")
        if not isinstance(core, nn.Module):
            raise TypeError(f"HybridBlock expects core to be a module, from trains to trains; got {core!r}.")
        if not isinstance(decoder, nn.Module | None):
            raise TypeError(
                f"HybridBlock expects decoder to be None or a module, such as RateDecoder(); got {decoder!r}."
            )
        if any(isinstance(module, TimeAxis) for module in core.modules()):
            declare_time(core, time_steps=encoder.time_steps)
        self.encoder, self.core = encoder, core
        self.decoder = decoder

    def forward(self, values: Value) -> Value:
        train = self.train_out(values)
        if self.decoder is None:
            return self.encoder.decode(train, bounds=UNIT)
        decoded: Value = self.decoder(train)
        return decoded

    def _check_width(self) -> None:
        narrow = next((part for part in self.core.parameters() if part.dtype in (torch.float16, torch.bfloat16)), None)
        if narrow is not None and not torch.is_autocast_enabled(narrow.device.type):
            raise ValueError(
                f"HybridBlock expects weights of float32 or wider, since trains are; got {narrow.dtype}. Leave the "
                f"weights as they were and run the network under torch.autocast."
            )

    def train_out(self, values: Value) -> SpikeTrain:
        """What the core sends: [batch, *unit] -> [time, batch, *other]."""
        self._check_width()
        train = self.core(self.encoder(values))
        expected = (self.encoder.time_steps, len(values))
        if not isinstance(train, Tensor):
            raise TypeError(
                f"HybridBlock expects a core from a train to a train; it gave {type(train).__name__}. Return the train "
                f"alone, such as the first of run(neuron, train)."
            )
        if train.shape[:2] != expected:
            raise ValueError(
                f"HybridBlock expects a core that keeps time and batch, [time={expected[0]}, batch={expected[1]}, "
                f"*unit]; it gave shape {tuple(train.shape)}. Lift its stateless layers: OverTime(nn.Flatten(), ...)."
            )
        return train


def check_mode(mode: str, *, owner: str) -> None:
    """Refuse a mode that :class:`Fusion` does not have."""
    if mode not in get_args(Mode):
        raise ValueError(f"{owner} expects mode to be one of {', '.join(get_args(Mode))}; got {mode!r}.")


class Fusion(nn.Module):
    """An analog branch and a spiking one on the same values.

    - ``serial``: the spiking branch alone, in the place of the analog one, which is dropped;
    - ``add``: analog(x) + spiking(x), as in the published models. It costs the analog branch and the spikes, so it
      never takes less energy than its own analog branch;
    - ``gated``: analog(x) + gate * spiking(x), gate learned from 0 on: until then the output is the analog branch's,
      bit for bit. The gate has a gradient from the first step on, what is inside the spiking branch from the second.

    Args:
        analog: from values to values.
        spiking: from values to values of the same shape, such as a :class:`HybridBlock`.
        mode: which of these.

    Shapes:  [batch, *unit] -> [batch, *other], in the analog branch's dtype.
    Raises:  ValueError: an unknown mode; branches that give different shapes.
    Source:  "add", Luu, Luu, Pham, Truong, arXiv 2509.24411; a gate from 0 on, Bachlechner et al., arXiv 2003.04887.

    >>> from spikebridge import LIF, BitPlane
    >>> analog, x = nn.Tanh(), torch.randn(5, 64)
    >>> fused = Fusion(analog, HybridBlock(LIF(), BitPlane(bits=8, value_range="running")))
    >>> torch.equal(fused(x), analog(x))
    True
    """

    gate: nn.Parameter | None

    def __init__(self, analog: nn.Module, spiking: nn.Module, *, mode: Mode = "gated") -> None:
        super().__init__()
        check_mode(mode, owner="Fusion")
        self.mode = mode
        self.analog = None if mode == "serial" else analog
        self.spiking = spiking
        self.gate = nn.Parameter(torch.zeros(())) if mode == "gated" else None

    def forward(self, values: Value) -> Value:
        spiking: Value = self.spiking(values)
        if self.analog is None:
            return spiking
        analog: Value = self.analog(values)
        if analog.shape != spiking.shape:
            raise ValueError(
                f"Fusion expects branches of one shape; the analog one gave {tuple(analog.shape)} and the spiking one "
                f"{tuple(spiking.shape)}. Give the core the strides and channels of the layers it stands beside."
            )
        # Spikes are float32 inside autocast; what comes after must see the dtype it would see without them.
        return analog + (spiking if self.gate is None else self.gate * spiking).to(analog.dtype)

    def extra_repr(self) -> str:
        return f"mode={self.mode}"
