"""The time axis: fold it away, loop over it, and notice when it is lost."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn

from .shapes import SpikeTrain
from .stock import own_method

_ALIKE = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d),
    *(nn.Identity, nn.Flatten, nn.ReLU, nn.LayerNorm, nn.GroupNorm),
)
"""Layers that do the same to every sample, in training too."""

Network = TypeVar("Network", bound=nn.Module)


def fold(train: SpikeTrain) -> Tensor:
    """Merge time into the batch: ``[time, batch, *unit] -> [time * batch, *unit]``."""
    return train.flatten(0, 1)


def unfold(folded: Tensor, *, time_steps: int) -> SpikeTrain:
    """Undo :func:`fold`: ``[time * batch, *unit] -> [time, batch, *unit]``.

    Raises:
        ValueError: the leading axis is not a multiple of ``time_steps``.

    >>> unfold(fold(torch.zeros(4, 2, 3)), time_steps=4).shape
    torch.Size([4, 2, 3])
    """
    if isinstance(folded, fx.Proxy) or isinstance(time_steps, fx.Proxy):  # a traced forward: there are no sizes yet
        return folded.unflatten(0, (time_steps, -1))
    if time_steps < 1 or folded.shape[0] % time_steps:
        raise ValueError(
            f"unfold expects [time * batch, *unit] with time = {time_steps}; got shape {tuple(folded.shape)}, whose "
            f"leading axis is not a multiple of {time_steps}. Pass the time_steps the tensor was folded with."
        )
    return folded.reshape(time_steps, folded.shape[0] // time_steps, *folded.shape[1:])


class TimeAxis(nn.Module):
    """A module that takes a train, and knows how long that train must be once somebody has declared it.

    Attributes:
        time_steps: T as declared by :func:`declare_time`, or None while nobody has.
        label: the module's name in the network it was declared in; errors quote it.
        is_fixed: whether T is part of what the module is, so that no other can be declared.
        fixed_by: the module of that network whose T is fixed; errors advise no other T where there is one.
    """

    time_steps: int | None = None
    label: str = ""
    is_fixed = False
    fixed_by: str = ""

    def check_train(self, train: SpikeTrain) -> None:
        """Refuse a tensor that cannot be this module's train.

        Raises:
            ValueError: fewer than two axes, no step at all, or a leading axis other than the declared T.
        """
        expected = f"{self._name()} expects a train [time={self.time_steps or 'T'}, batch, *unit]"
        if train.ndim < 2:
            raise ValueError(f"{expected}; got shape {tuple(train.shape)}. Add the missing axis, time first.")
        if train.shape[0] == 0:
            raise ValueError(f"{expected} with T >= 1; got shape {tuple(train.shape)}, which has no step to run.")
        if self.time_steps is not None and train.shape[0] != self.time_steps:
            other = (
                f"{self.fixed_by} has settings for {self.time_steps} steps and takes no other T: encode with "
                f"time_steps={self.time_steps}, or build the network for {train.shape[0]}"
                if self.fixed_by
                else f"if T has changed, declare_time(network, time_steps={train.shape[0]})"
            )
            raise ValueError(
                f"{expected}; got shape {tuple(train.shape)}, whose leading axis is {train.shape[0]}. If time was "
                f"folded into the batch, unfold(tensor, time_steps={self.time_steps}) first; {other}."
            )

    def resume(self, train: SpikeTrain, state: Any = None) -> tuple[SpikeTrain, Any]:
        """Take a piece of a train, of any length, from where an earlier piece ended: ``(what is sent, state)``.

        Pieces one after another equal one call on the whole train; None starts afresh.

        Raises:
            NotImplementedError: the module takes whole trains only.
        """
        raise NotImplementedError(
            f"{self._name()} cannot go on from a state; it takes whole trains only. Write its resume(train, state), "
            f"or call the network on all steps at once."
        )

    def _name(self) -> str:
        return f"{type(self).__name__} '{self.label}'" if self.label else type(self).__name__


def declare_time(network: Network, *, time_steps: int) -> Network:
    """Tell every neuron and lifted layer of ``network`` its name and the T it must see; return the network.

    From then on a tensor with any other leading axis is an error that names the layer: time folded into the batch
    and never unfolded would otherwise integrate across the samples of a batch, without a word.

    Raises:
        ValueError: ``time_steps`` < 1; nothing in the network has a time axis; a module refuses this T, and then the
            whole network stays as it was.

    >>> net = declare_time(nn.Sequential(OverTime(nn.Linear(3, 2))), time_steps=4)
    >>> net(torch.zeros(8, 3))
    Traceback (most recent call last):
    ValueError: OverTime '0' expects a train [time=4, batch, *unit]; got shape (8, 3), whose leading axis is 8. ...
    """
    require_steps(time_steps, owner="declare_time")
    timed = [(name, module) for name, module in network.named_modules() if isinstance(module, TimeAxis)]
    if not timed:
        raise ValueError(
            f"declare_time found no neuron and no lifted layer in {type(network).__name__}. "
            f"Put neurons in it, or lift its layers with OverTime or EachStep."
        )
    before = [(module.label, module.time_steps) for _, module in timed]
    try:
        for name, module in timed:
            module.label, module.time_steps = name, time_steps  # the name first: a module of a fixed T says who refuses
    except Exception:
        for (_, module), (label, known) in zip(timed, before, strict=True):
            module.label, module.time_steps = label, known
        raise
    fixed_by = next((module._name() for _, module in timed if module.is_fixed), "")
    for _, module in timed:
        module.fixed_by = fixed_by
    return network


def require_steps(time_steps: int, *, owner: str) -> None:
    """Refuse a T that is not a whole number of at least one step."""
    if not isinstance(time_steps, int) or isinstance(time_steps, bool):
        raise TypeError(f"{owner} expects time_steps to be an int; got {time_steps!r}.")
    if time_steps < 1:
        raise ValueError(f"{owner} expects time_steps >= 1; got {time_steps}. Run at least one step.")


class _Lifted(TimeAxis, nn.Sequential):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        timed = [type(m).__name__ for m in self.modules() if isinstance(m, TimeAxis) and m is not self]
        if timed:
            raise ValueError(
                f"{type(self).__name__} lifts layers that know no time; {timed[0]} takes trains itself. "
                f"Put it beside the lifted layers: nn.Sequential({type(self).__name__}(...), {timed[0]}(...))."
            )

    def resume(self, train: SpikeTrain, state: None = None) -> tuple[SpikeTrain, None]:
        """See :meth:`TimeAxis.resume`; there is no state. Layers that look at the whole batch look at the piece."""
        if own_method(self, "forward"):  # which says more than the layers
            return super().resume(train, state)
        return self._lift(train), None

    def _lift(self, train: SpikeTrain) -> SpikeTrain:
        raise NotImplementedError

    def layers(self, values: Tensor) -> Tensor:
        """The lifted layers, one after another, on tensors without a time axis."""
        for layer in self:
            values = layer(values)
        return values


class OverTime(_Lifted):
    """Apply stateless layers to all steps at once, by folding time into the batch.

    Stock ``torch.nn`` layers serve as they are. BatchNorm sees the statistics of all T * batch samples together;
    use :class:`EachStep` for statistics of each step. Where a train merely repeats one value (``Direct``), layers that
    cannot tell its steps apart compute it once: in eval mode all of them, in training those before the first that
    looks at the whole batch or draws at random.

    Shapes:  train [time, batch, *unit] -> train [time, batch, *other].
    Raises:  ValueError: see :meth:`TimeAxis.check_train`.

    >>> OverTime(nn.Flatten(), nn.Linear(12, 5))(torch.zeros(4, 2, 3, 2, 2)).shape
    torch.Size([4, 2, 5])
    """

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        if train.stride(0) != 0:
            return self._lift(train)
        writes = any(getattr(module, "inplace", False) for module in self.modules())
        values, is_folded = train[0].clone() if writes else train[0], False  # what repeats is the caller's
        if not any(module.training for module in self.modules()):
            values = self.layers(values)
            return values.expand(train.shape[0], *values.shape)
        if own_method(self, "layers"):
            return self._lift(train)
        for layer in self:
            if not is_folded and type(layer) not in _ALIKE:
                values, is_folded = fold(values.expand(train.shape[0], *values.shape)), True
            values = layer(values)
        return unfold(values, time_steps=train.shape[0]) if is_folded else values.expand(train.shape[0], *values.shape)

    def _lift(self, train: SpikeTrain) -> SpikeTrain:
        return unfold(self.layers(fold(train)), time_steps=train.shape[0])


class EachStep(_Lifted):
    """Apply stateless layers to one step after another.

    Equal to :class:`OverTime` except for layers that look at the whole batch: here BatchNorm normalises each step
    by its own statistics, and dropout draws afresh.

    Shapes:  train [time, batch, *unit] -> train [time, batch, *other].
    Raises:  ValueError: see :meth:`TimeAxis.check_train`.
    """

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        return self._lift(train)

    def _lift(self, train: SpikeTrain) -> SpikeTrain:
        return torch.stack([self.layers(step) for step in train.unbind(0)])


class RepeatOverTime(nn.Module):
    """The same value at every step, time folded into the batch: ``[batch, *unit] -> [time * batch, *unit]``.

    A module rather than a function, so that a graph that calls it can be pickled.
    """

    def forward(self, values: Tensor, time_steps: int) -> Tensor:
        return fold(values.expand(time_steps, *values.shape))


class Folded(nn.Module):
    """Run a module that takes trains inside a graph that has time folded into the batch.

    Shapes:  [time * batch, *unit] -> [time * batch, *other].
    """

    def __init__(self, module: TimeAxis) -> None:
        super().__init__()
        self.module = module

    def forward(self, folded: Tensor, time_steps: int) -> Tensor:
        return fold(self.module(unfold(folded, time_steps=time_steps)))

    def resume(self, folded: Tensor, time_steps: int, state: Any = None) -> tuple[Tensor, Any]:
        """See :meth:`TimeAxis.resume`; with time folded into the batch."""
        train, state = self.module.resume(unfold(folded, time_steps=time_steps), state)
        return fold(train), state
