"""A network from trains to trains that takes them piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn

from ..core.modes import in_mode
from ..core.shapes import SpikeTrain
from ..core.time import TimeAxis
from .tracing import traced

TOLERANCE = 1e-4
"""Absolute and relative: rounding of float32 over many layers; a spike more or less is far beyond."""


class InPieces(TimeAxis):
    """A network that goes on from where an earlier piece of a train ended, as one neuron does in :func:`run`.

    Pieces one after another equal one call on the whole train, in eval mode. Every part that takes trains has its own
    state, once for every place where it is called; all of them are in the caller's hands. The parts are the network's
    own: what is learned there is known here.

    Args:
        network: from trains to trains, such as the ``body`` of a ``SpikingNetwork``. Its forward has a graph
            (torch.fx), whose operations between the parts do to every step the same.
        check: a train, on which the network step by step is held to the network at once, in eval mode. Without one,
            an operation that mixes steps, such as a mean over them, goes unseen.

    Shapes:  train [time, batch, *unit] -> train [time, batch, *other], of any time.
    Raises:
        ValueError: a forward that torch.fx cannot trace; pieces that do not add up to the whole; pieces that run past
            the T of settings per step.
        NotImplementedError: a part that takes whole trains only.

    >>> from spikebridge import LIF, OverTime, SpikingNetwork, Direct
    >>> body = nn.Sequential(OverTime(nn.Linear(3, 5)), LIF(), OverTime(nn.Linear(5, 2)))
    >>> network = SpikingNetwork(body, encoder=Direct(time_steps=4)).eval()
    >>> streamed, train = InPieces(network.body), network.encoder(torch.rand(8, 3))
    >>> first, state = streamed.resume(train[:1])
    >>> rest, state = streamed.resume(train[1:], state)
    >>> torch.allclose(torch.cat([first, rest]), network.body(train))
    True
    """

    def __init__(self, network: nn.Module, *, check: SpikeTrain | None = None) -> None:
        super().__init__()
        advice = "Resume its parts one by one: each has resume(piece, state)."
        self.graph = traced(network, owner="InPieces", advice=advice)
        if check is not None:
            self._require_whole(network, check)

    def _require_whole(self, network: nn.Module, train: SpikeTrain) -> None:
        sent, state = [], None
        with torch.no_grad(), in_mode(network, training=False):
            whole = network(train)
            for piece in torch.split(train, 1):
                step, state = self.resume(piece, state)
                sent.append(step)
        found = torch.cat(sent)
        if found.shape != whole.shape or not torch.allclose(found, whole, rtol=TOLERANCE, atol=TOLERANCE):
            apart = f"shapes {tuple(found.shape)} and {tuple(whole.shape)}"
            if found.shape == whole.shape:
                apart = f"a difference of {(found - whole).abs().max().item():.2g}"
            raise ValueError(
                f"InPieces expects a network whose operations between its parts do to every step the same; steps one "
                f"by one and {type(network).__name__} at once give {apart}. What mixes steps (a mean or sum over them, "
                f"a norm without OverTime, torch.nn.GRU) has no pieces."
            )

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        return self.resume(train)[0]

    def resume(self, train: SpikeTrain, state: Mapping[str, Any] | None = None) -> tuple[SpikeTrain, dict[str, Any]]:
        """See :meth:`TimeAxis.resume`; the state is that of every call, by the call's name."""
        piece = _Piece(self.graph, {} if state is None else state)
        sent: SpikeTrain = piece.run(train)
        return sent, piece.after


class _Piece(fx.Interpreter):
    """One piece through the graph, with the states that it starts from and those that it leaves."""

    def __init__(self, body: fx.GraphModule, before: Mapping[str, Any]) -> None:
        super().__init__(body)
        self.extra_traceback = False  # what is refused is the caller's doing, and its message says so
        self.before, self.after = before, dict[str, Any]()

    def run_node(self, n: fx.Node) -> Any:
        module = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
        if not isinstance(module, TimeAxis):
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        (train,) = (*args, *kwargs.values())
        sent, self.after[n.name] = module.resume(train, self.before.get(n.name))
        return sent
