"""Stop when the answer is settled: no guess by confidence, a bound on all that can still come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from ...core.shapes import Value
from ..errors import ConversionError
from ..stream import StreamState, advance
from .forecast import Forecaster
from .reach import capacity
from .settled import Bounds, Standing
from .tail import Tail, find_tail

_WORTHWHILE = 0.05
"""Forecasts that narrow what the last neurons may send by less than this part are not made again."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What a converted classifier decided, sample by sample.

    Attributes:
        prediction: the class that is first among the largest outputs at T, [batch].
        steps: how many steps were taken until nothing could change it, [batch]; ``steps.float().mean()`` is mean T.
        readout: the mean output over the steps taken, [batch, classes]. What is settled is the class at T; before T
            the largest readout may still be another's.
    """

    prediction: Tensor
    steps: Tensor
    readout: Tensor


def decide(body: fx.GraphModule, values: Value, *, time_steps: int) -> Decision:
    """The class a network names at T, taking no more steps than it takes to prove it.

    After its last neurons the network is linear: in every step  y_j = c_j + sum_u A_ju s_u,  c and A constant. If all
    that neuron u sends in the steps that are left lies in [low_u, high_u], class i is settled against j when the least
    that y_i - y_j can add up to at T is above zero:

        sum of (y_i - y_j) so far + left (c_i - c_j) + sum_u min over [low_u, high_u] of (A_iu - A_ju) S_u  >  margin

    A sample stops once a class is settled against all others; at T the ordinary arg-max decides, ties included.

    Two bounds give [low, high]. One counts on nothing: at most the largest spike in every step, and no more taken back
    than was sent (:func:`~.reach.capacity`). The other follows the values, which are the same at every step, through
    the layers: to a sum of currents within an interval each neuron answers with a sum of spikes within an interval
    (:func:`~.reach.forecast`), a level or so wider at every layer. The finer the levels, T times members, and the
    fewer the layers, the sooner it settles; in deep networks it is no better than the first. It costs about four steps
    and is made only when the last one suggests that it could settle a sample. So what is saved is steps, and the spikes
    in them; on a processor that runs all steps at once as one batch, the full run is mostly the faster one.

    ``margin`` bounds the rounding of the outputs still to come and of their mean, and every interval is widened by the
    rounding of currents and membranes, by the standard bound for n roundings of a sum, n eps times the sum of its
    largest terms. So the result holds for float arithmetic, but not for kernels with larger errors: convolutions by
    transforms, or a reduced precision behind the dtype's back such as TF32. The steps taken are those of
    :meth:`ConvertedNetwork.step`; a kernel that rounds otherwise in a batch of another size may, at a tie of a
    membrane, send another spike than in the batch of all T steps, here as in any run.

    Samples that have stopped leave the batch. Memory: classes x units of the last neurons, in float64.

    Args:
        body: the graph of a converted network in eval mode.
        values: [batch, *unit]
        time_steps: T, at most how many steps are taken (>= 1).

    Raises:
        ConversionError: a network that is not linear after its last neurons, has neurons whose spikes have no known
            bound, is in training mode, or does not give [batch, classes].
    """
    if any(module.training for module in body.modules()):
        raise ConversionError("decide expects a network in eval mode; got one in training mode. Call .eval() first.")
    with torch.inference_mode(False), torch.no_grad():
        values = values.clone() if values.is_inference() else values.detach()
        tail = find_tail(body, values[:1])
        return _Race(body, values, tail, time_steps).run()


class _Race:
    """The samples that are still undecided, step by step."""

    def __init__(self, body: fx.GraphModule, values: Value, tail: Tail, time_steps: int) -> None:
        self.body, self.values, self.tail, self.time_steps = body, values, tail, time_steps
        self.alive = torch.arange(len(values), device=values.device)
        self.prediction, self.steps = torch.zeros_like(self.alive), torch.zeros_like(self.alive)
        self.outputs: list[Tensor] = []
        self.state: StreamState | None = None
        self.next_forecast = 1

    def run(self) -> Decision:
        """Take steps until all samples are decided."""
        for taken in range(1, self.time_steps + 1):
            spikes = self._step()
            readout = torch.stack(self.outputs).mean(0)
            if taken == 1:
                self.readout = torch.zeros_like(readout)
                self.bounds = Bounds(self.tail, self.outputs[0], spikes, time_steps=self.time_steps)
            if taken == self.time_steps:
                leader, is_settled = readout.argmax(1), torch.ones_like(self.alive, dtype=torch.bool)
            else:
                self.bounds.check(self.outputs[-1], spikes)
                leader, is_settled = self._settle(taken)
            self._stop(is_settled, leader, readout, taken)
            if not len(self.alive):
                break
        return Decision(self.prediction, self.steps, self.readout)

    def _step(self) -> dict[str, Tensor]:
        """Take a step; what the last neurons sent in it."""
        sent: dict[str, Tensor] = {}

        def watch(node: fx.Node, result: Any) -> None:
            if str(node.target) in self.tail.neurons:
                sent[str(node.target)] = result

        output, self.state = advance(self.body, self.values, self.state, key="", watch=watch)
        self.outputs.append(output)
        return sent

    def _settle(self, taken: int) -> tuple[Tensor, Tensor]:
        """The leaders and whether they are settled, by as much work as promises to pay."""
        assert self.state is not None
        left, neurons = self.time_steps - taken, self.tail.neurons
        standing = self.bounds.settle(
            self.outputs,
            {name: capacity(neuron, self.state.modules[name], left=left) for name, neuron in neurons.items()},
        )
        if taken < self.next_forecast or bool(standing.is_settled.all()):
            return standing.leader, standing.is_settled
        widest = standing.width
        standing = self.bounds.settle(
            self.outputs, Forecaster(self.body, self.state, left=left, wanted=neurons).forecasts()
        )
        self._plan_next(taken, standing, narrowing=1 - (standing.width / widest).item())
        return standing.leader, standing.is_settled

    def _plan_next(self, taken: int, standing: Standing, *, narrowing: float) -> None:
        # What can undo a lead shrinks with the steps that are left; looking again before is work for nothing.
        share = standing.share[~standing.is_settled]
        left = int((self.time_steps - taken) * share.max().item()) if len(share) else 0
        self.next_forecast = max(taken + 1, self.time_steps - left)
        if narrowing < _WORTHWHILE:
            self.next_forecast = self.time_steps

    def _stop(self, is_settled: Tensor, leader: Tensor, readout: Tensor, taken: int) -> None:
        assert self.state is not None
        stopped, going = self.alive[is_settled], ~is_settled
        self.prediction[stopped], self.steps[stopped] = leader[is_settled], taken
        self.readout[stopped] = readout[is_settled]
        if len(stopped):
            self.alive, self.outputs = self.alive[going], [output[going] for output in self.outputs]
            self.bounds.constant = self.bounds.constant[going]
            self.state = self.state.take(going)
            self.values = self.state.values
