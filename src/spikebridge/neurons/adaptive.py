"""Leaky integrate-and-fire whose leak and gain differ from step to step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core.gradient import Sigmoid, Surrogate
from ..core.neuron import Neuron, at_rest, brief, check_callable, positive_setting
from ..core.per_step import PerStep, per_step_setting
from ..core.reset import Reset, by_subtraction
from ..core.shapes import Current, Spikes, along_channels, at_least_float32


class AdaptiveState(NamedTuple):
    """What an AdaptiveLIF carries from step to step."""

    membrane: Tensor  # [batch, *unit]
    step: Tensor  # [batch], steps taken so far: one number, once per sample


class AdaptiveLIF(PerStep, Neuron[AdaptiveState]):
    """LIF with a leak and a gain for every step:  v <- leak_t * v + gain_t * current;  s = [v >= threshold];  reset.

    At initialisation it is ``LIF(decay=0.5, decay_input=True)``, values and gradients, bit for bit. Leak and gain may
    become any number, a negative one included. The leak of the first step multiplies a membrane that is still zero, so
    its gradient is zero: a parameter that never moves, unless an optimiser decays it (``parameter_groups`` does not).
    A factor common to all gains is a factor of the layer before; only their ratios are new.

    T is fixed by what is learned: another T is an error, for a train, for pieces of one, and where it is declared.

    Args:
        time_steps: T, number of steps (>= 1).
        channels: None for one leak and gain per step; C for one per step and channel (axis 1 of a step); or the shape
            of one step's settings, such as (1, C) for tokens [batch, N, C].
        learn_leak: make ``leak`` a parameter; a buffer otherwise.
        learn_gain: make ``gain`` a parameter; a buffer otherwise.
        leak: initial leak; a float, [time], or [time, *channels].
        gain: initial gain; likewise.
        threshold: firing threshold (> 0); a float, or one number per channel.
        reset: ``by_subtraction`` (soft) or ``to_zero`` (hard); ``detached(...)`` stops the gradient through the spike.
        surrogate: the gradient of the spike.

    Shapes:  currents [time, batch, *unit] -> train [time, batch, *unit] in {0, 1}.
    Raises:  ValueError: a train of another T, or of other channels; settings of another shape, or not finite; a
        threshold that is not positive and finite.
    Source:  He, arXiv 2408.12407, and the code released with it.
    Deviates:  fires at v >= threshold, the reference at v > threshold: they differ at ties only, and
        ``surrogate=Strict()`` does as the reference does. Hard and detached resets, thresholds and channels are
        additions.

    >>> neuron = AdaptiveLIF(time_steps=4, leak=torch.tensor([0.5, 0.9, 0.2, 0.7]), gain=1.0)
    >>> neuron(torch.tensor([[1.2], [0.0], [0.9], [0.8]])).flatten().tolist()
    [1.0, 0.0, 0.0, 1.0]
    """

    threshold: Tensor
    leak: Tensor
    gain: Tensor

    def __init__(
        self,
        *,
        time_steps: int = 4,
        channels: int | tuple[int, ...] | None = None,
        learn_leak: bool = True,
        learn_gain: bool = True,
        leak: float | Tensor = 0.5,
        gain: float | Tensor = 0.5,
        threshold: float | Tensor = 1.0,
        reset: Reset = by_subtraction,
        surrogate: Surrogate = Sigmoid(),  # noqa: B008  frozen, so one default instance can serve all
    ) -> None:
        super().__init__(time_steps=time_steps)
        check_callable(surrogate, owner="AdaptiveLIF", name="surrogate", example="ATan()")
        check_callable(reset, owner="AdaptiveLIF", name="reset", example="to_zero")
        self.register_buffer("threshold", positive_setting(threshold, owner="AdaptiveLIF", name="threshold"))
        self.channels = _shape(channels)
        self.reset, self.surrogate = reset, surrogate
        self.learn_leak, self.learn_gain = learn_leak, learn_gain
        self._hold("leak", leak, is_learned=learn_leak)
        self._hold("gain", gain, is_learned=learn_gain)

    def initial_state(self, current: Current) -> AdaptiveState:
        self._check_channels(current)
        # On the CPU, where looking at it does not wait for an accelerator; a compiled graph is on one device.
        device = current.device if torch.compiler.is_compiling() else "cpu"
        step = torch.zeros(current.shape[:1], dtype=at_least_float32(current.dtype), device=device)
        return AdaptiveState(at_rest(current), step)

    def step(self, current: Current, state: AdaptiveState) -> tuple[Spikes, AdaptiveState]:
        leak, gain = (along_channels(setting, current) for setting in self.settings_at(state.step))
        threshold = along_channels(self.threshold, current)
        membrane = leak * state.membrane + gain * current
        spikes = self.surrogate(membrane - threshold)
        return spikes, AdaptiveState(self.reset(membrane, spikes, threshold), state.step + 1)

    def settings_at(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """Leak and gain of the step that comes after ``step`` steps.

        Raises:
            ValueError: there is no such step, or the samples are at different ones.
        """
        if torch.compiler.is_compiling():
            index = step[:1].to(self.leak.device, torch.long)
            return self.leak.index_select(0, index).squeeze(0), self.gain.index_select(0, index).squeeze(0)
        lowest, highest = (int(end) for end in step.aminmax()) if len(step) else (0, 0)
        if lowest != highest:
            raise ValueError(
                f"{self._name()} expects a state whose samples are all at one step; got steps {lowest} to {highest}. "
                f"Run samples that began at different times apart."
            )
        self.require_within(highest + 1)
        return self.leak[highest], self.gain[highest]

    def extra_repr(self) -> str:
        shape = (
            "" if not self.channels else f"channels={self.channels[0] if len(self.channels) == 1 else self.channels}, "
        )
        return (
            f"time_steps={self.time_steps}, {shape}leak={_span(self.leak)}, gain={_span(self.gain)}, "
            f"threshold={brief(self.threshold)}, learn_leak={self.learn_leak}, learn_gain={self.learn_gain}"
        )

    def _hold(self, name: str, value: float | Tensor, *, is_learned: bool) -> None:
        setting = per_step_setting(
            value, time_steps=self.time_steps, channels=self.channels, owner="AdaptiveLIF", name=name
        )
        if is_learned:
            self.register_parameter(name, nn.Parameter(setting))
        else:
            self.register_buffer(name, setting)

    def _check_channels(self, current: Current) -> None:
        for name, setting in (("leak", self.leak[0]), ("gain", self.gain[0]), ("threshold", self.threshold)):
            try:
                along_channels(setting, current)
            except ValueError:
                shape, unit = tuple(setting.shape), tuple(current.shape[1:])
                wanted = f"{shape[0]} channels" if len(shape) == 1 else f"a unit that fits {shape}"
                one = "a number as threshold" if name == "threshold" else f"channels=None for one {name} per step"
                raise ValueError(
                    f"{self._name()} expects steps [batch, *unit] of {wanted}; got units of shape {unit}, which its "
                    f"{name} does not fit. Build it with the channels of the layer before, or with {one}."
                ) from None


def _shape(channels: int | tuple[int, ...] | None) -> tuple[int, ...]:
    shape = channels if isinstance(channels, tuple) else () if channels is None else (channels,)
    if any(not isinstance(size, int) or isinstance(size, bool) or size < 1 for size in shape):
        raise ValueError(
            f"AdaptiveLIF expects channels to be None, a whole number >= 1, or a shape of them; got {channels!r}."
        )
    return shape


def _span(setting: Tensor) -> str:
    if setting.is_meta:
        return "meta"
    lowest, highest = (f"{end.item():.4g}" for end in setting.detach().aminmax())
    return lowest if lowest == highest else f"{lowest}..{highest}"
