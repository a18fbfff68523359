"""Settings of their own for every step, and the T that this fixes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .shapes import SpikeTrain
from .time import TimeAxis, require_steps


class StepsTaken(NamedTuple):
    """What a layer with settings per step, and nothing else to remember, carries from piece to piece."""

    steps: int


class PerStep(TimeAxis):
    """A module that does something else at every step, so that its T is fixed when it is built.

    Any other T is an error that names the module: where it is declared, where a whole train comes in, and where pieces
    of a train run past the end. Its own parameters are one per step, or one per step and channel.

    Args:
        time_steps: T, number of steps (>= 1).
    """

    is_fixed = True

    def __init__(self, *, time_steps: int) -> None:
        super().__init__()
        require_steps(time_steps, owner=type(self).__name__)
        self._built_for = time_steps

    @property
    def time_steps(self) -> int:
        """T, as built."""
        return self._built_for

    @time_steps.setter
    def time_steps(self, declared: int | None) -> None:
        if declared != self._built_for:
            raise ValueError(
                f"{self._name()} expects T = {self._built_for}, the steps it has settings for; got "
                f"time_steps={declared}. Build it with time_steps={declared}, or encode with "
                f"time_steps={self._built_for}."
            )

    def check_train(self, train: SpikeTrain) -> None:
        """See :meth:`TimeAxis.check_train`; advice for a T that cannot be declared anew."""
        steps = self._built_for
        if train.ndim >= 2 and train.shape[0] not in (0, steps):
            raise ValueError(
                f"{self._name()} expects a train [time={steps}, batch, *unit]; got shape {tuple(train.shape)}, whose "
                f"leading axis is {train.shape[0]}. It has settings for {steps} steps: encode with "
                f"time_steps={steps}, or build it with time_steps={train.shape[0]}. If time was folded into the "
                f"batch, unfold(tensor, time_steps={steps}) first."
            )
        super().check_train(train)

    def require_within(self, steps: int) -> int:
        """``steps``, refused where they are more than there are settings for.

        Raises:
            ValueError: names the module.
        """
        if steps > self._built_for:
            raise ValueError(
                f"{self._name()} expects at most {self._built_for} steps, for which it has settings; got step {steps}. "
                f"Start a new train with state=None, or build it with time_steps={steps} or more."
            )
        return steps

    def steps_of(self, train: SpikeTrain, state: StepsTaken | None) -> tuple[slice, StepsTaken]:
        """Which steps a piece of a train is, after the steps in ``state``; and the state after it."""
        begin = 0 if state is None else state.steps
        end = self.require_within(begin + train.shape[0])
        return slice(begin, end), StepsTaken(end)


def per_step_setting(
    value: float | Tensor, *, time_steps: int, channels: tuple[int, ...], owner: str, name: str
) -> Tensor:
    """A setting as a finite float tensor [time, *channels] of its own.

    Args:
        value: a float; a tensor [time], or [time, *channels].
        time_steps: T.
        channels: what one step's setting is shaped like; () for one number.
        owner: who asks.
        name: what it is called there.

    Raises:
        ValueError: another shape, or an entry that is not finite.
    """
    setting = torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.float32).detach()
    setting = setting if setting.is_floating_point() else setting.float()
    whole = (time_steps, *channels)
    if setting.shape not in ((), (time_steps,), whole):
        raise ValueError(
            f"{owner} expects {name} to be a number, one per step [{time_steps}], or "
            f"{f'one per step and channel {list(whole)}' if channels else 'with channels=C one per step and channel'}; "
            f"got shape {list(setting.shape)}. Match time_steps and channels."
        )
    if not setting.is_meta and not bool(torch.isfinite(setting).all()):
        wrong = setting[~torch.isfinite(setting)].flatten()[0].item()
        raise ValueError(f"{owner} expects {name} to be finite; got {wrong:g}. Pass finite numbers.")
    if setting.shape == (time_steps,):
        setting = setting.reshape(time_steps, *[1] * len(channels))
    return setting.expand(whole).clone()
