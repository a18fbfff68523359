"""One network under every choice of codes: what each choice costs, and how right it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.encoder import Encoder
from ..core.modes import in_mode
from ..core.shapes import Value
from ..measure.costs import EnergyCosts
from ..measure.operations import count_operations
from .coded import CodedLayer, fan_out, is_shifting
from .fitted import KEPT, Code, Seen, fitted_range, made
from .layers import with_replacements
from .points import ANALOG, Part, Point
from .search import Choice

Batches: TypeAlias = Sequence[tuple[Tensor, Tensor]]


class Probe(nn.Module):
    """A layer that can be told how its input comes, and counts what that costs.

    It computes the layer of the decoded input: what :class:`CodedLayer` gives, without walking through the steps.

    Attributes:
        option: 0 is analog, k is the k-th code.
        accumulates: since it was last set to 0, over all samples.
        multiplies: likewise.
        seen: is told what arrives, if there is one.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.codes = layer, nn.ModuleList()
        self.option, self.accumulates, self.multiplies = 0, 0.0, 0.0
        self.seen: Seen | None = None
        self.fans: dict[torch.Size, Tensor] = {}

    @property
    def weight(self) -> Tensor:
        """The layer's weights: some networks ask a layer for them."""
        return cast(Tensor, self.layer.weight)

    @property
    def bias(self) -> Tensor | None:
        """The layer's bias, likewise."""
        return cast("Tensor | None", self.layer.bias)

    def forward(self, values: Value) -> Value:
        if self.seen is not None:
            self.seen.add(values)
        fans = self.fans.get(values.shape[1:])
        if fans is None:
            fans = self.fans[values.shape[1:]] = fan_out(self.layer, values.shape[1:])
        if self.option == 0:
            self.multiplies += len(values) * fans.sum(dtype=torch.float64).item()
            analog: Value = self.layer(values)
            return analog
        encoder: Any = self.codes[self.option - 1]
        train = encoder(values)
        self.accumulates += (train.sum((0, 1)).double() * fans[0]).sum().item()
        result: Value = self.layer(encoder.decode(train).to(values.dtype))
        if not is_shifting(encoder):
            self.multiplies += encoder.time_steps * result.numel()
        return result


@contextmanager
def _same_draws() -> Iterator[None]:
    """Codes that draw do so alike for every choice; the caller's random numbers go on as if nothing had been."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Trial:
    """A copy of a network whose layers take any of their options, measured on the same data.

    Args:
        network: left as it is.
        layers: names of those of its layers that are decided on.
        batches: (values, classes), on the network's device.
        codes: by the names that the options have.
        costs: the prices.

    Raises:  ValueError: activations that are not finite; scores that are none.
    """

    def __init__(
        self, network: nn.Module, layers: Sequence[str], batches: Batches, codes: Mapping[str, Code], costs: EnergyCosts
    ) -> None:
        self.batches, self.codes, self.costs = batches, codes, costs
        self.samples = sum(len(labels) for _, labels in batches)
        self.options = (ANALOG, *codes)
        self.source, self.network = deepcopy(network), deepcopy(network)
        inside = dict(self.network.named_modules())
        self.probes = {name: Probe(inside[name]) for name in layers}
        with_replacements(self.network, {probe.layer: probe for probe in self.probes.values()})
        self.found: dict[Choice, Point] = {}
        self.ranges: dict[tuple[str, int], tuple[float, float]] = {}
        self.unused = self._observe()
        self.rest_pj = 0.0
        self.rest_pj = max(0.0, self._total_pj() - self.measure(self.analog).energy_pj)
        self.found.clear()

    @property
    def names(self) -> tuple[str, ...]:
        """The layers that are decided on, in the network's order."""
        return tuple(self.probes)

    @property
    def analog(self) -> Choice:
        """The network as it is."""
        return (0,) * len(self.probes)

    def measure(self, choice: Choice) -> Point:
        """Run all data with these options; once for each choice."""
        if choice not in self.found:
            for probe, option in zip(self.probes.values(), choice, strict=True):
                probe.option, probe.accumulates, probe.multiplies = option, 0.0, 0.0
            accuracy, log_loss = self._scores(self.network)
            parts = tuple(self._part(name) for name in self.probes)
            energy = self.rest_pj + sum(part.energy_pj for part in parts)
            choices = {part.layer: part.option for part in parts}
            self.found[choice] = Point(energy, accuracy, log_loss, choices, parts)
        return self.found[choice]

    def build(self, choices: Mapping[str, str]) -> nn.Module:
        """The network with these options, layer by layer."""
        network = deepcopy(self.source)
        inside = dict(network.named_modules())
        coded = {}
        for name, chosen in choices.items():
            if chosen != ANALOG:
                layer = inside[name]
                encoder = self._encoder(name, self.options.index(chosen)).to(cast(Tensor, layer.weight).device)
                coded[layer] = CodedLayer(layer, encoder).train(layer.training)
        return with_replacements(network, dict(coded))

    def _part(self, name: str) -> Part:
        probe = self.probes[name]
        accumulates, multiplies = probe.accumulates / self.samples, probe.multiplies / self.samples
        energy = self.costs.ac_pj * accumulates + self.costs.mac_pj * multiplies
        return Part(name, self.options[probe.option], accumulates, multiplies, energy)

    def _encoder(self, name: str, option: int) -> Encoder:
        """The code of a layer, made anew."""
        return made(self.codes[self.options[option]], self.ranges[name, option], name=self.options[option])

    def _total_pj(self) -> float:
        """Energy of the network as it is, by the operations of one forward per batch."""
        price = {"AC": self.costs.ac_pj, "MAC": self.costs.mac_pj}
        energy = 0.0
        for values, labels in self.batches:
            layers = count_operations(self.source, values)
            energy += sum(price[layer.kind] * sum(layer.per_step) for layer in layers) * len(labels)
        return energy / self.samples

    def _scores(self, network: nn.Module) -> tuple[float, float]:
        right, loss = 0.0, 0.0
        with torch.no_grad(), in_mode(network, training=False), _same_draws():
            for values, labels in self.batches:
                scores = network(values)
                right += (scores.argmax(1) == labels).sum().item()
                loss += F.cross_entropy(scores.double(), labels, reduction="sum").item()
        return right / self.samples, loss / self.samples

    def _observe(self) -> tuple[str, ...]:
        """See what every layer receives, and fit its codes to that; name the layers that never run."""
        each = -(-KEPT // len(self.batches))
        for name, probe in self.probes.items():
            probe.seen = Seen(name, each=each)
        self._check_scores()
        unused = tuple(name for name, probe in self.probes.items() if not (probe.seen and probe.seen.parts))
        with_replacements(self.network, {self.probes[name]: self.probes[name].layer for name in unused})
        self.probes = {name: probe for name, probe in self.probes.items() if name not in unused}
        for name, probe in self.probes.items():
            seen, probe.seen = probe.seen, None
            assert seen is not None
            for option, (code_name, code) in enumerate(self.codes.items(), start=1):
                with _same_draws():
                    self.ranges[name, option] = fitted_range(code, seen, name=code_name)
                probe.codes.append(self._encoder(name, option).to(seen.parts[0].device))
        return unused

    def _check_scores(self) -> None:
        """Run all data once; refuse scores that cannot be compared with the labels."""
        with torch.no_grad(), in_mode(self.network, training=False):
            for values, labels in self.batches:
                scores = self.network(values)
                if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(labels):
                    got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
                    raise ValueError(
                        f"assign expects a network that gives scores [batch={len(labels)}, classes]; got {got}."
                    )
                if not bool(torch.isfinite(scores).all()):
                    raise ValueError(
                        "assign expects finite scores; the network gives NaN or infinite ones on this data. Look for "
                        "them in its last layers, or train it again."
                    )
                if int(labels.min()) < 0 or int(labels.max()) >= scores.shape[1]:
                    raise ValueError(
                        f"assign expects classes from 0 to {scores.shape[1] - 1}, as many as there are scores; got "
                        f"{int(labels.min())} to {int(labels.max())}."
                    )
