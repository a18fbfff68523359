"""Leaky integrate-and-fire."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core.gradient import Sigmoid, Surrogate
from ..core.neuron import Neuron, at_rest, brief, check_callable, positive_setting
from ..core.reset import Reset, by_subtraction, never
from ..core.shapes import Current, Spikes, SpikeTrain, along_channels


class LIFState(NamedTuple):
    """What a LIF carries from step to step."""

    membrane: Tensor  # [batch, *unit]


class LIF(Neuron[LIFState]):
    """Leaky integrate-and-fire:  v <- decay * v + gain * current;  s = [v >= threshold];  v <- reset(v);  emit s.

    Args:
        decay: what is left of the membrane after a step, in [0, 1); a float, or one number per channel. A membrane
            time constant of tau steps is decay = 1 - 1 / tau.
        threshold: firing threshold (> 0); a float, or one number per channel.
        reset: ``by_subtraction`` (soft), ``to_zero`` (hard) or ``never``.
        decay_input: gain = 1 - decay instead of 1, so that a constant current settles the membrane at its own value.
        learn_decay: make decay = sigmoid(raw_decay) a parameter; needs a decay in (0, 1).
        surrogate: the gradient of the spike.

    Shapes:  currents [time, batch, *unit] -> train [time, batch, *unit] in {0, 1}.
    Raises:  ValueError: a decay outside its interval; a threshold that is not positive and finite.
    Source:  Gerstner et al., Neuronal Dynamics, 2014, ch. 1.3, in discrete time; learnable decay after Fang et al.,
        arXiv 2007.05785.

    >>> LIF(decay=0.5)(torch.tensor([[0.8], [0.8], [0.8]])).flatten().tolist()
    [0.0, 1.0, 0.0]
    """

    threshold: Tensor
    fixed_decay: Tensor

    def __init__(
        self,
        *,
        decay: float | Tensor = 0.5,
        threshold: float | Tensor = 1.0,
        reset: Reset = by_subtraction,
        decay_input: bool = False,
        learn_decay: bool = False,
        surrogate: Surrogate = Sigmoid(),  # noqa: B008  frozen, so one default instance can serve all
    ) -> None:
        super().__init__()
        check_callable(surrogate, owner="LIF", name="surrogate", example="ATan()")
        check_callable(reset, owner="LIF", name="reset", example="to_zero")
        self.register_buffer("threshold", positive_setting(threshold, owner="LIF", name="threshold"))
        self.reset, self.surrogate = reset, surrogate
        self.decay_input, self.learn_decay = decay_input, learn_decay
        setting = _checked_decay(decay, is_learned=learn_decay)
        if learn_decay:
            self.raw_decay = nn.Parameter(torch.logit(setting))
        else:
            self.register_buffer("fixed_decay", setting)

    @property
    def decay(self) -> Tensor:
        """What is left of the membrane after a step."""
        return torch.sigmoid(self.raw_decay) if self.learn_decay else self.fixed_decay

    def initial_state(self, current: Current) -> LIFState:
        return LIFState(at_rest(current))

    def step(self, current: Current, state: LIFState) -> tuple[Spikes, LIFState]:
        threshold, decay = along_channels(self.threshold, current), along_channels(self.decay, current)
        membrane = decay * state.membrane + self._charge(current, decay)
        spikes = self.surrogate(membrane - threshold)
        return spikes, LIFState(self.reset(membrane, spikes, threshold))

    def at_once(self, currents: SpikeTrain, state: LIFState) -> tuple[SpikeTrain, LIFState] | None:
        """Without reset, with one decay:  v_t = decay^t v_0 + sum over s <= t of decay^(t - s) gain current_s."""
        if self.reset is not never or self.decay.numel() != 1:
            return None
        decay, steps = self.decay.reshape(()).to(currents.dtype), torch.arange(len(currents), device=currents.device)
        age = steps[:, None] - steps
        kept = torch.where(age >= 0, decay ** age.clamp(min=0), 0.0)
        charges = self._charge(currents, decay)
        if not bool(torch.isfinite(charges).all()):
            return None  # a product with zeros would carry it back in time
        with torch.autocast(currents.device.type, enabled=False):
            membranes = (kept @ charges.flatten(1)).reshape(currents.shape)
        membranes = membranes + state.membrane * (decay ** (steps + 1)).reshape(-1, *[1] * (currents.ndim - 1))
        spikes = self.surrogate(membranes - along_channels(self.threshold, currents[0]))
        return spikes, LIFState(membranes[-1])

    def _charge(self, currents: Tensor, decay: Tensor) -> Tensor:
        """Gain * currents."""
        return (1.0 - decay) * currents if self.decay_input else currents

    def extra_repr(self) -> str:
        return (
            f"decay={brief(self.decay)}, threshold={brief(self.threshold)}, "
            f"decay_input={self.decay_input}, learn_decay={self.learn_decay}"
        )


def _checked_decay(decay: float | Tensor, *, is_learned: bool) -> Tensor:
    setting = torch.as_tensor(decay, dtype=None if isinstance(decay, Tensor) else torch.float32).detach().clone()
    legal = (setting > 0 if is_learned else setting >= 0) & (setting < 1)
    if not setting.is_meta and not bool(legal.all()):
        interval = "(0, 1) when it is learned" if is_learned else "[0, 1); for no leak use IF"
        wrong = setting[~legal].flatten()[0].item()
        raise ValueError(f"LIF expects decay in {interval}; got {wrong:g}. A time constant tau is 1 - 1 / tau.")
    return setting
