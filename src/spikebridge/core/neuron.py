"""A neuron is a pure step; time is driven in one place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.torch_version import TorchVersion
from torch.utils.checkpoint import checkpoint

from .shapes import ChannelsError, Current, Spikes, SpikeTrain, along_channels, at_least_float32
from .time import TimeAxis

State = TypeVar("State", bound=tuple[Tensor, ...])

UNROLLED = 8
"""Steps up to which a compiled loop is written out, so that it merges with what is around it."""

_HAS_SCAN = TorchVersion(torch.__version__) >= "2.14"

_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", lambda: True)
"""An exported graph cannot say what to compute again. Before torch 2.7 nobody can tell: then nothing is."""


class Neuron(TimeAxis, ABC, Generic[State]):
    """A spiking neuron: settings in the module, state in the caller's hands.

    Subclasses write ``initial_state`` and ``step``, both pure. Nothing is remembered between two calls, so there is
    nothing to reset; a long simulation passes state on through :func:`run`.

    Compiled, and up to 8 steps, nothing inside the loop is kept for the backward pass: the compiler computes membranes
    and spikes again, in the kernels that need them, from the currents or from what these are cheaply made of, such as
    a convolution's output before its norm. Longer loops stay loops, whose code does not grow with T.

    Shapes:  currents [time, batch, *unit] -> train [time, batch, *unit].
    """

    @abstractmethod
    def initial_state(self, current: Current) -> State:
        """The state before the first step, shaped like ``current`` and at least float32."""

    @abstractmethod
    def step(self, current: Current, state: State) -> tuple[Spikes, State]:
        """One step: what is emitted, and the state after it."""

    def at_once(self, currents: SpikeTrain, state: State) -> tuple[SpikeTrain, State] | None:
        """What :func:`run` gives, without a loop over time; None where there is no such form for these currents."""
        return None

    @property
    def spike_value(self) -> Tensor | float:
        """What one spike carries: the output divided by it is a whole number of spikes."""
        return 1.0

    def forward(self, currents: SpikeTrain) -> SpikeTrain:
        """Run over a whole train from the initial state; the leading axis must be the declared T."""
        self.check_train(currents)
        try:
            return self._whole_train(currents)
        except ChannelsError as error:
            raise ValueError(f"{self._name()}: {error}") from None

    def _whole_train(self, currents: SpikeTrain) -> SpikeTrain:
        is_short = len(currents) <= UNROLLED
        if is_short and torch.compiler.is_dynamo_compiling() and not _is_exporting() and torch.is_grad_enabled():
            train: SpikeTrain = checkpoint(self._whole, currents, use_reentrant=False)
            return train
        return self._whole(currents)

    def _whole(self, currents: SpikeTrain) -> SpikeTrain:
        return run(self, currents)[0]

    def resume(self, train: SpikeTrain, state: State | None = None) -> tuple[SpikeTrain, State]:
        """See :func:`run`."""
        return run(self, train, state)


def run(neuron: Neuron[State], currents: SpikeTrain, state: State | None = None) -> tuple[SpikeTrain, State]:
    """Drive ``neuron`` over ``currents``: the only time loop in the library.

    Unlike calling the neuron, ``run`` takes a piece of a train of any length: ``run(second half, state)`` continues
    where ``run(first half)`` stopped, and the two together equal one run over the whole.

    Args:
        neuron: any :class:`Neuron`.
        currents: [time, batch, *unit], floating point; narrower than float32 is widened first.
        state: the state to start from; None starts afresh.

    Shapes:  currents [time, batch, *unit] -> (train [time, batch, *unit], state).
    Raises:
        TypeError: currents are not floating point.
        ValueError: fewer than two axes, no step, or a state made for another batch.

    >>> from spikebridge import IF
    >>> train, state = run(IF(), torch.full((4, 1), 0.5))
    >>> train.flatten().tolist(), state.membrane.item()
    ([0.0, 1.0, 0.0, 1.0], 0.0)
    """
    return _driven(neuron, *_checked(neuron, currents, state))


def _driven(neuron: Neuron[State], currents: SpikeTrain, state: State) -> tuple[SpikeTrain, State]:
    """The loop itself."""
    if len(currents) > UNROLLED and torch.compiler.is_dynamo_compiling() and _can_scan():
        return _scanned(neuron, currents, state)
    steps = []
    for current in currents.unbind(0):
        spikes, state = neuron.step(current, state)
        steps.append(spikes)
    return torch.stack(steps), state


def run_at_once(neuron: Neuron[State], currents: SpikeTrain, state: State | None = None) -> tuple[SpikeTrain, State]:
    """:func:`run`, in parallel over time where the mathematics allows; where it does not, :func:`run` itself.

    It does for a Group Neuron whose limit of ``members`` spikes a step is idle, whose total is a cumulative maximum,
    and for IF and LIF that never reset, whose membranes are sums over the past. Sums are taken in another order, so a
    membrane within rounding of a level may fall on its other side; trains are equal otherwise, and gradients too. It
    looks at the currents to see whether the form holds, which compiled code cannot: there it is :func:`run`.

    It pays for long trains of few neurons. Elsewhere the loop, whose steps fit into a cache, is faster, and compiled it
    always is (docs/concepts.md).

    >>> from spikebridge import GroupNeuron
    >>> currents = torch.tensor([[0.3], [0.4], [-0.2], [0.5]])
    >>> run_at_once(GroupNeuron(members=4), currents)[0].flatten().tolist()
    [0.25, 0.5, 0.0, 0.25]
    """
    currents, state = _checked(neuron, currents, state)
    is_known = _writer(neuron, "at_once") is _writer(neuron, "step")
    found = neuron.at_once(currents, state) if is_known and not torch.compiler.is_compiling() else None
    return _driven(neuron, currents, state) if found is None else found


def _writer(neuron: Neuron[Any], name: str) -> object:
    """Who wrote a method: a form of all steps at once holds for the step that it was written with, and for no other."""
    return neuron if name in vars(neuron) else next(kind for kind in type(neuron).__mro__ if name in vars(kind))


def _checked(neuron: Neuron[State], currents: SpikeTrain, state: State | None) -> tuple[SpikeTrain, State]:
    """Currents of at least float32, and the state to start from."""
    if not isinstance(neuron, Neuron):
        raise TypeError(
            f"run drives one neuron; got {type(neuron).__name__}. Call a network on a whole train; to stream one, run "
            f"each of its neurons on its piece and pass the states on (docs/concepts.md)."
        )
    _check_currents(neuron, currents)
    currents = currents.to(at_least_float32(currents.dtype))
    start = neuron.initial_state(currents[0])
    if state is None:
        return currents, start
    _check_state(neuron, state, start)
    return currents, state


def _scanned(neuron: Neuron[State], currents: SpikeTrain, state: State) -> tuple[SpikeTrain, State]:
    """The same loop as one operator of the compiler's: its code does not grow with T, as that of an unrolled one does.

    What it is handed must be its own, so nothing that a step returns may share memory with what it was given.
    """
    from torch._higher_order_ops.scan import scan

    kind: Any = type(state)

    def step(parts: list[Tensor], current: Current) -> tuple[list[Tensor], Spikes]:
        spikes, after = neuron.step(current, kind(*parts))
        return [part.clone() for part in after], spikes.clone()

    parts, train = scan(step, list(state), currents)
    return train, kind(*parts)


def _can_scan() -> bool:
    """Whether this PyTorch has the operator, a prototype there: versions with which it was tried; not in exports."""
    return _HAS_SCAN and not _is_exporting()


def check_callable(setting: object, *, owner: str, name: str, example: str) -> None:
    """Refuse a class, or anything that cannot be called, where a function of tensors is needed."""
    if isinstance(setting, type) or not callable(setting):
        got = setting.__name__ if isinstance(setting, type) else repr(setting)
        raise TypeError(f"{owner} expects {name} to be one, such as {name}={example}; got {got}.")


def at_rest(current: Current, level: Tensor | float = 0.0) -> Tensor:
    """A state tensor shaped like ``current``, filled with ``level`` and at least float32."""
    dtype = at_least_float32(current.dtype)
    if not isinstance(level, Tensor):
        return torch.full_like(current, level, dtype=dtype)
    return torch.zeros_like(current, dtype=dtype) + along_channels(level, current)


def positive_setting(value: float | Tensor, *, owner: str, name: str) -> Tensor:
    """A neuron's setting as a float tensor of its own, refused unless every entry is finite and above zero.

    On the meta device there are no entries to look at.
    """
    setting = torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.float32).detach().clone()
    setting = setting if setting.is_floating_point() else setting.float()
    if setting.numel() == 0:
        raise ValueError(f"{owner} expects {name} to be a number, or one per channel; got an empty tensor.")
    if not setting.is_meta and not bool((torch.isfinite(setting) & (setting > 0)).all()):
        raise ValueError(
            f"{owner} expects {name} > 0 and finite; got {setting.min().item():g}. Pass a positive number."
        )
    return setting


def brief(setting: Tensor) -> str:
    """A setting for printing: the number itself, or the range of a per-channel tensor."""
    if setting.is_meta:
        return "meta"
    if setting.numel() == 1:
        return f"{setting.item():.4g}"
    return f"{setting.min().item():.4g}..{setting.max().item():.4g} over {setting.numel()} channels"


def _check_currents(neuron: Neuron[State], currents: SpikeTrain) -> None:
    name = type(neuron).__name__
    if not currents.is_floating_point():
        raise TypeError(f"{name} expects floating-point currents; got {currents.dtype}. Convert with .float().")
    if currents.ndim < 2 or currents.shape[0] == 0:
        raise ValueError(
            f"{name} expects currents [time, batch, *unit] with time >= 1; got shape {tuple(currents.shape)}. "
            f"Put time first and give it at least one step."
        )


def _check_state(neuron: Neuron[State], state: State, start: State) -> None:
    got = [tuple(part.shape) for part in state]
    expected = [tuple(part.shape) for part in start]
    if got != expected:
        raise ValueError(
            f"{type(neuron).__name__} expects a state of shapes {expected} for these currents; got {got}. "
            f"Pass the state of the same batch, or none to start afresh."
        )
