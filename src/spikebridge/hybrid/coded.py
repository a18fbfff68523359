"""A layer of weights that receives spikes where it received numbers."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from ..core.encoder import Encoder
from ..core.shapes import Value
from ..core.time import fold, unfold
from ..measure.counter import LAYERS


class CodedLayer(nn.Module):
    """Encode the input and accumulate weighed spikes:  y = b + W(low) + (high - low) * sum_t w_t W s_t.

    W is the layer without its bias. By linearity y is the layer applied to decode(encode(x)). W(low) is the same for
    every input, as the bias is, and nothing is multiplied for it. Where the weights of the steps are powers of two
    times one another, weighing shifts and multiplies nothing; else it costs a multiplication per output and step.

    Args:
        layer: one of torch.nn's linear layers or convolutions. It is changed: its bias moves here.
        encoder: a binary code of a given range.

    Shapes:  [batch, *unit] -> [batch, *other], as the layer has them.
    """

    bias: Tensor | None

    def __init__(self, layer: nn.Module, encoder: Encoder) -> None:
        super().__init__()
        self.register_parameter("bias", cast("nn.Parameter | None", layer.bias))
        layer.register_parameter("bias", None)
        self.layer, self.encoder, self.is_shifting = layer, encoder, is_shifting(encoder)

    @property
    def weight(self) -> Tensor:
        """The layer's weights: some networks ask a layer for them."""
        return cast(Tensor, self.layer.weight)

    def forward(self, values: Value) -> Value:
        steps = self.encoder.time_steps
        train = self.encoder(values).to(values.dtype)
        low, high = cast("tuple[float, float]", self.encoder.value_range)
        result = (high - low) * self._weighed(unfold(self.layer(fold(train)), time_steps=steps))
        if low:
            result = result + self.layer(torch.full_like(values[:1], low))
        if self.bias is None:
            return result
        trailing = 0 if isinstance(self.layer, nn.Linear) else result.ndim - 2
        return result + self.bias.reshape(-1, *[1] * trailing)

    def _weighed(self, currents: Tensor) -> Tensor:
        weights = self.encoder.step_weights.to(currents)
        if self.is_shifting:
            each = weights.reshape(-1, *[1] * (currents.ndim - 1))
            return (each * currents).sum(0)
        # A product of matrices, so that a counter of operations sees that this multiplies.
        weighed: Tensor = torch.tensordot(weights, currents, dims=1)
        return weighed


def is_shifting(encoder: Encoder) -> bool:
    """Whether the weights of all steps are 0, or one of them times a power of two, and stay so.

    >>> from spikebridge import BitPlane, Latency
    >>> is_shifting(BitPlane(bits=3)), is_shifting(BitPlane(bits=3, weights="learned")), is_shifting(Latency())
    (True, False, False)
    """
    weights = encoder.step_weights
    if weights.requires_grad:
        return False
    sizes = weights[weights != 0].abs().double()
    powers = torch.log2(sizes / sizes[:1])
    return bool(((powers - powers.round()).abs() < 1e-6).all())


def fan_out(layer: nn.Module, unit: torch.Size) -> Tensor:
    """How many outputs each input of a layer reaches: padding, strides and groups included.

    Shapes:  -> [1, *unit].

    >>> fan_out(nn.Conv1d(1, 2, 3), torch.Size([1, 4])).tolist()
    [[[2.0, 4.0, 4.0, 2.0]]]
    """
    # The layer with weights of one: whatever computes or replaces the real ones is left behind.
    kind: Any = next(kind for kind in LAYERS if isinstance(layer, kind))
    plain = kind.__new__(kind)
    nn.Module.__init__(plain)
    vars(plain).update({name: setting for name, setting in vars(layer).items() if name not in vars(plain)})
    weight = cast(Tensor, layer.weight)
    plain.register_parameter("bias", None)
    with torch.inference_mode(False), torch.enable_grad():
        plain.weight = nn.Parameter(torch.ones(weight.shape, device=weight.device), requires_grad=False)
        ones = torch.ones(1, *unit, device=weight.device, requires_grad=True)
        (reached,) = torch.autograd.grad(plain(ones).sum(), ones)
    return reached.round()
