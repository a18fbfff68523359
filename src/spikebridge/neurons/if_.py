"""Integrate-and-fire."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ..core.gradient import Sigmoid, Surrogate
from ..core.neuron import Neuron, at_rest, brief, check_callable, positive_setting
from ..core.reset import Reset, by_subtraction, never
from ..core.shapes import Current, Spikes, SpikeTrain, along_channels


class IFState(NamedTuple):
    """What an IF carries from step to step."""

    membrane: Tensor  # [batch, *unit]


class IF(Neuron[IFState]):
    """Integrate-and-fire:  v <- v + current;  s = [v >= threshold];  v <- reset(v);  emit spike_value * s.

    Args:
        threshold: firing threshold (> 0), in units of the current; a float, or one number per channel.
        spike_value: what a spike carries to the next layer (> 0). 1 gives plain spikes; the threshold gives outputs
            in the units of the current, which conversion needs.
        rest: membrane before the first step as a fraction of the threshold, in [0, 1). One half makes the rate of a
            constant current round to the nearest level instead of down.
        reset: ``by_subtraction`` (soft), ``to_zero`` (hard) or ``never``.
        surrogate: the gradient of the spike.

    Shapes:  currents [time, batch, *unit] -> train [time, batch, *unit] in {0, spike_value}.
    Raises:  ValueError: a threshold or spike value that is not positive and finite; rest outside [0, 1).
    Source:  Bu et al., ICLR 2022 (threshold-valued spikes, half a threshold at rest).

    >>> import torch
    >>> IF(threshold=1.0)(torch.tensor([[0.6], [0.6], [0.6]])).flatten().tolist()
    [0.0, 1.0, 0.0]
    """

    threshold: Tensor
    _spike_value: Tensor

    def __init__(
        self,
        *,
        threshold: float | Tensor = 1.0,
        spike_value: float | Tensor = 1.0,
        rest: float = 0.0,
        reset: Reset = by_subtraction,
        surrogate: Surrogate = Sigmoid(),  # noqa: B008  frozen, so one default instance can serve all
    ) -> None:
        super().__init__()
        check_callable(surrogate, owner="IF", name="surrogate", example="ATan()")
        check_callable(reset, owner="IF", name="reset", example="to_zero")
        if not 0.0 <= rest < 1.0:
            raise ValueError(f"IF expects rest in [0, 1), a fraction of the threshold; got {rest}.")
        self.register_buffer("threshold", positive_setting(threshold, owner="IF", name="threshold"))
        self.register_buffer("_spike_value", positive_setting(spike_value, owner="IF", name="spike_value"))
        self.rest, self.reset, self.surrogate = rest, reset, surrogate

    @property
    def spike_value(self) -> Tensor:
        """What one spike carries."""
        return self._spike_value

    def initial_state(self, current: Current) -> IFState:
        return IFState(at_rest(current, self.rest * self.threshold))

    def step(self, current: Current, state: IFState) -> tuple[Spikes, IFState]:
        threshold = along_channels(self.threshold, current)
        membrane = state.membrane + current
        spikes = self.surrogate(membrane - threshold)
        return spikes * along_channels(self.spike_value, current), IFState(self.reset(membrane, spikes, threshold))

    def at_once(self, currents: SpikeTrain, state: IFState) -> tuple[SpikeTrain, IFState] | None:
        """Without reset, membranes are sums:  v_t = v_0 + current_1 + ... + current_t."""
        if self.reset is not never:
            return None
        membranes = state.membrane + currents.cumsum(0)
        spikes = self.surrogate(membranes - along_channels(self.threshold, currents[0]))
        return spikes * along_channels(self.spike_value, currents[0]), IFState(membranes[-1])

    def extra_repr(self) -> str:
        return f"threshold={brief(self.threshold)}, spike_value={brief(self.spike_value)}, rest={self.rest:g}"
