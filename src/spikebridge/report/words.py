"""What the numbers say, in sentences, and what each kind of network is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from .accuracy import cost, quantised_cost
from .compare import Group, Network
from .numbers import PERCENT, energy, joined, plural
from .picture import short
from .price import Pricing

_SILENT = 0.01
"""Spikes per neuron and sample below which a network says nothing."""
_SPOKEN = 3
"""From more SNNs than this the summary speaks of the most accurate one only."""


def summary(groups: Sequence[Group], pricing: Pricing) -> str:
    """One paragraph: what was compared, how right it is, what it costs, and how sure that is."""
    networks = [network for group in groups for network in group.networks]
    runs = plural(sum(len(group.records) for group in groups), "run")
    runs += f" of {plural(len(groups), 'configuration')}" if 1 < len(groups) else ""
    if not networks:
        return f"{runs} without a measured network: below are the settings and the training."
    measured = [network for network in networks if network.final_accuracy]
    best = max((n for n in measured if n.is_spiking), key=lambda n: n.final_accuracy.mean, default=None)
    sentences = [f"{runs}, {_counted(networks)}."]
    if best is None:
        sentences += [f"{_right(network)}." for network in measured[:_SPOKEN]]
        if not any(network.first.kind == "hybrid" for network in measured):
            sentences.append("No spiking network was measured.")
    else:
        spiking = [network for network in measured if network.is_spiking]
        spoken = spiking if len(spiking) <= _SPOKEN else [best]
        sentences += _converted(spoken, measured)
        sentences += [_cost(best, pricing), _silence(spiking)]
    return " ".join(filter(None, [*sentences, _certainty(groups)]))


def _counted(networks: Sequence[Network]) -> str:
    kinds = (("ann", "ANN"), ("quantised", "quantised ANN"), ("hybrid", "hybrid network"), ("snn", "SNN"))
    counts = [(sum(network.first.kind == kind for network in networks), name) for kind, name in kinds]
    said = joined([plural(count, name) for count, name in counts if count])
    return f"{plural(len(networks), 'network')}: {said}" if len(networks) > 1 else said


def _right(network: Network) -> str:
    return f"{named(network)} is right on {PERCENT.of(network.final_accuracy)} % of the test samples"


def _converted(spiking: Sequence[Network], networks: Sequence[Network]) -> list[str]:
    """A source and what was converted from it in one sentence after the other; then what came from nowhere."""
    families: dict[str, list[Network]] = {}
    for network in spiking:
        source = source_of(network, networks)
        families.setdefault(source.label if source else "", []).append(network)
    sentences = []
    for label, family in families.items():
        source = next((network for network in networks if network.label == label), None)
        said = "; ".join(_over_time(network, source) for network in family)
        sentences += [f"{_right(source)}.", f"Converted from it, {said}."] if source else [f"{said}."]
    return sentences


def _over_time(network: Network, source: Network | None) -> str:
    """How right after the first step and after the last; a source just named is not named again, nor its run."""
    last, final, begin = network.time_steps, network.final_accuracy, network.accuracy(1)
    name = named(network)
    if source:
        alone = network.first.name.removesuffix(f" from {source.first.name}").removesuffix(",")
        name = short(alone, 60).strip()
    if last == 1 or not begin:
        return f"{name} reaches {PERCENT.of(final)} % after {plural(last, 'step')}"
    return f"{name} reaches {PERCENT.of(begin)} % after 1 step and {PERCENT.of(final)} % after {last}"


def named(network: Network) -> str:
    """A network's name, of a length a sentence can bear."""
    return short(network.label, 60).strip()


def source_of(network: Network, networks: Sequence[Network]) -> Network | None:
    """The network of the same runs that another was converted from."""
    found = (n for n in networks if n.run == network.run and n.first.name == network.first.source and n is not network)
    return next(found, None)


def _cost(network: Network, pricing: Pricing) -> str:
    """Never an SNN's energy alone: the quantised ANN, and the rate at which the two are equal, belong to it."""
    prices = pricing(network, network.time_steps)
    if not prices:
        return ""
    bits, last = plural(network.first.bits, "bit"), network.time_steps
    text = (
        f"By the prices used here, the operations of one inference of {named(network)} take {energy(cost(prices))} at "
        f"T = {last}, and those of the same layers as an ANN of as many bits ({bits}) {energy(quantised_cost(prices))}"
    )
    for unit, pairs in (
        ("spikes per neuron and step", [(price.rate, price.break_even_rate) for price in prices]),
        ("spikes per connection", [(price.sent, price.break_even) for price in prices]),
    ):
        known = [(rate, even) for rate, even in pairs if rate is not None and even is not None]
        if known:
            rate, even = (statistics.fmean(values) for values in zip(*known, strict=True))
            return f"{text}; the two would be equal at {even:.3g} {unit}, and it sends {rate:.3g}."
    return f"{text}; no spike rate would make the two equal."


def _silence(spiking: Sequence[Network]) -> str:
    """A network that hardly spikes costs little and says little: its energy must not stand without that."""
    sent = [network.sample(lambda result: next(reversed(result.spikes_per_neuron), None)) for network in spiking]
    silent = [named(network) for network, spikes in zip(spiking, sent, strict=True) if spikes and spikes.mean < _SILENT]
    if not silent:
        return ""
    verb, whose = ("is", "its energy is") if len(silent) == 1 else ("are", "their energies are")
    return (
        f"{joined(silent)} {verb} silent, with fewer than {_SILENT} spikes per neuron and sample: {whose} small "
        "because nothing is said."
    )


def _certainty(groups: Sequence[Group]) -> str:
    counts = sorted({len(group.records) for group in groups})
    if counts == [1]:
        return "Every number is from a single seed, so small differences may be chance."
    if counts[-1] < 3:
        return "Two seeds are given one by one; they say little about the spread."
    rest = "; runs of one or two seeds are given one by one" if counts[0] < 3 else ""
    many = joined([str(count) for count in counts if count >= 3])
    return f"Where n = {many} seeds ran, numbers are mean ± sample standard deviation{rest}."


def what_it_is(network: Network) -> str:
    """What a network of this kind computes, said without flattery."""
    result, steps = network.first, network.time_steps
    if result.kind == "ann":
        return "An ordinary network: one pass, analog activations, no time and no spikes."
    if result.kind == "quantised":
        return (
            f"An ordinary network whose activations take few values ({plural(result.bits, 'bit')}): one pass, no time "
            "and no spikes. It is the fair reference for a spiking network that can say as much."
        )
    if result.kind == "hybrid":
        return (
            "An ordinary network with spiking blocks in it: values are encoded, sent as spikes and decoded within the "
            "one pass. Where an analog branch stands beside the spikes, both are paid for."
        )
    return f"Spiking, over {plural(steps, 'step')}. {_what_a_neuron_says(network)}"


def _what_a_neuron_says(network: Network) -> str:
    result, steps = network.first, network.time_steps
    counts = [abs(count) for train in result.raster.values() for step in train for count in step]
    says_more = result.bits > math.ceil(math.log2(steps + 1))
    if max(counts, default=0) > 1:
        return (
            "Its neurons send counts: several spikes in one step. The first step of such a neuron is a quantised "
            "activation, the count being the level, so at T = 1 this network is a quantised ANN written in spikes: "
            "its accuracy there is due to quantisation, not to time or spikes. Spikes can change what it costs; the "
            "energy columns say whether they do."
        )
    if says_more:
        return (
            f"Its steps tell apart more than a count of equal spikes could ({plural(result.bits, 'bit')} in "
            f"{plural(steps, 'step')}): they differ in weight, or carry several spikes."
        )
    return (
        f"A neuron sends at most one spike a step, so its count after all steps is one of {steps + 1} values "
        f"({plural(result.bits, 'bit')})."
    )
