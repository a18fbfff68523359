"""A network from trains to trains that takes them piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from ..core.shapes import SpikeTrain
from ..core.time import TimeAxis
from .tracing import traced


class InPieces(TimeAxis):
    """A network that goes on from where an earlier piece of a train ended, as one neuron does in :func:`run`.

    Pieces one after another equal one call on the whole train, in eval mode. Every part that takes trains has its own
    state, once for every place where it is called; all of them are in the caller's hands. The parts are the network's
    own: what is learned there is known here.

    Args:
        network: from trains to trains, such as the ``body`` of a ``SpikingNetwork``. Its forward has a graph
            (torch.fx), whose operations between the parts do to every step the same.

    Shapes:  train [time, batch, *unit] -> train [time, batch, *other], of any time.
    Raises:
        ValueError: a forward that torch.fx cannot trace; pieces that run past the T of settings per step.
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

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        advice = "Resume its parts one by one: each has resume(piece, state)."
        self.graph = traced(network, owner="InPieces", advice=advice)

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
