"""The comparison as a table: one row per network, the same columns on the page, in Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .compare import Group, Network, Sample, entry, powers_of_two
from .numbers import MISSING, PERCENT, Scale, byte_scale, count_scale, energy_scale, plain_scale
from .price import Price, Pricing
from .tables import Row, markdown_table

_KINDS = {"ann": "ANN", "quantised": "quantised ANN", "hybrid": "hybrid", "snn": "SNN"}


@dataclass(frozen=True)
class Column:
    """One quantity of every network.

    Attributes:
        family: heading that neighbouring columns share on the page.
        heading: its own heading there.
        title: its heading where it stands alone.
        key: its name for a program, which gets numbers in their own units.
        scale: how its numbers are written.
        value: the number of a network, once per seed.
        is_shown: whether the page and the paper have room for it; the CSV has everything.
    """

    family: str
    heading: str
    title: str
    key: str
    scale: Scale
    value: Callable[[Network], Sample]
    is_shown: bool = True

    def cell(self, network: Network) -> str:
        """The text of one cell."""
        return self.scale.of(self.value(network))


def kind_of(network: Network) -> str:
    """What sort of network it is, in a reader's words."""
    return _KINDS.get(network.first.kind, network.first.kind)


def columns(networks: Sequence[Network], pricing: Pricing) -> list[Column]:
    """The columns for these networks; a quantity that none of them has gets none."""
    every = [
        *_accuracies(networks),
        *_energies(networks, pricing),
        *_spikes(networks, pricing),
        *_operations(networks, pricing),
    ]
    return [column for column in every if any(column.value(network) for network in networks)]


def shown_columns(networks: Sequence[Network], pricing: Pricing) -> list[Column]:
    """Those of the columns that a reader sees."""
    return [column for column in columns(networks, pricing) if column.is_shown]


def _accuracies(networks: Sequence[Network]) -> list[Column]:
    family, none = "Accuracy (%)", Sample(())
    steps = sorted({t for n in networks if n.is_spiking for t in powers_of_two(n.time_steps)})

    def at(step: int) -> Callable[[Network], Sample]:
        return lambda network: network.accuracy(step) if network.is_spiking else none

    def of_one_pass(network: Network) -> Sample:
        return none if network.is_spiking else network.accuracy(1)

    once = "one pass" if any(network.first.kind == "hybrid" for network in networks) else "ANN"
    return [
        Column(family, once, f"{once} (%)", "accuracy_ann", PERCENT, of_one_pass),
        *(Column(family, f"T = {t}", f"T = {t} (%)", f"accuracy_t{t}", PERCENT, at(t)) for t in steps),
    ]


def _priced(pricing: Pricing, quantity: Callable[[Price], float | None]) -> Callable[[Network], Sample]:
    return lambda network: Sample.of([quantity(price) for price in pricing(network, network.time_steps)])


def _operations(networks: Sequence[Network], pricing: Pricing) -> list[Column]:
    """The operations that have a price, so that counts and energies agree; those without zeros go to the CSV."""
    accumulates = _priced(pricing, lambda price: price.accumulates)
    multiplies = _priced(pricing, lambda price: price.multiplies)
    effective_accumulates = _priced(pricing, lambda price: price.effective_accumulates)
    effective_multiplies = _priced(pricing, lambda price: price.effective_multiplies)
    scale = count_scale([*map(accumulates, networks), *map(multiplies, networks)])
    unit = f" ({scale.symbol})" if scale.symbol else ""
    family = f"Operations{unit}"
    return [
        Column(family, "AC", f"AC{unit}", "accumulates", scale, accumulates),
        Column(family, "MAC", f"MAC{unit}", "multiplies", scale, multiplies),
        Column("", "", "Effective ACs", "effective_acs", scale, effective_accumulates, is_shown=False),
        Column("", "", "Effective MACs", "effective_macs", scale, effective_multiplies, is_shown=False),
    ]


def _energies(networks: Sequence[Network], pricing: Pricing) -> list[Column]:
    own = _priced(pricing, lambda price: price.energy_pj)
    quantised = _priced(pricing, lambda price: price.quantised_pj)

    def bits(network: Network) -> Sample:
        return Sample.of([network.first.bits]) if quantised(network) else Sample(())

    energies = energy_scale([*map(own, networks), *map(quantised, networks)])
    family, unit = f"Energy ({energies.symbol})", f" ({energies.symbol})"
    return [
        Column(family, "itself", f"Energy{unit}", "energy_pj", energies, own),
        Column(family, "quantised ANN", f"Energy as quantised ANN{unit}", "quantised_energy_pj", energies, quantised),
        Column(family, "of bits", "Its bits", "bits", Scale(1.0, "", 0), bits),
    ]


def _spikes(networks: Sequence[Network], pricing: Pricing) -> list[Column]:
    def total(network: Network) -> Sample:
        return network.sample(lambda result: entry(result.spikes_per_neuron, network.time_steps))

    rate, even = _priced(pricing, lambda price: price.rate), _priced(pricing, lambda price: price.break_even_rate)
    totals, rates = plain_scale(map(total, networks)), plain_scale([*map(rate, networks), *map(even, networks)])
    family = "Spikes per neuron and step"
    return [
        Column(family, "measured", family, "rate", rates, rate),
        Column(family, "break-even", "Break-even rate", "break_even_rate", rates, even),
        Column("", "", "Spikes per neuron", "spikes_per_neuron", totals, total, is_shown=False),
        *_per_connection([network for network in networks if not rate(network)], pricing),
    ]


def _per_connection(networks: Sequence[Network], pricing: Pricing) -> list[Column]:
    """Break-even for networks whose neurons were not watched, from their operations alone."""
    names = {network.label for network in networks}

    def among(value: Callable[[Network], Sample]) -> Callable[[Network], Sample]:
        return lambda network: value(network) if network.label in names else Sample(())

    sent, even = _priced(pricing, lambda price: price.sent), _priced(pricing, lambda price: price.break_even)
    scale, family = plain_scale([*map(sent, networks), *map(even, networks)]), "Spikes per connection"
    return [
        Column(family, "measured", family, "spikes_per_connection", scale, among(sent)),
        Column(family, "break-even", f"{family}, break-even", "break_even_per_connection", scale, among(even)),
    ]


def memory_columns(networks: Sequence[Network], pricing: Pricing) -> list[Column]:
    """What the energy leaves out: memory, and the bytes that move, for two ways of working."""

    def footprint(network: Network) -> Sample:
        return network.sample(lambda result: result.footprint_bytes or None)

    def traffic(part: str, *, is_quantised: bool) -> Callable[[Network], Sample]:
        def bytes_of(price: Price) -> float | None:
            moved = price.quantised_traffic if is_quantised else price.traffic
            return None if moved is None else float(getattr(moved, part)) or None

        return _priced(pricing, bytes_of)

    parts = {"per_operation": "weights, every operation", "per_run": "weights, once a run", "state": "states"}
    found = [("Itself", part, heading, traffic(part, is_quantised=False)) for part, heading in parts.items()]
    found += [("Quantised ANN", part, heading, traffic(part, is_quantised=True)) for part, heading in parts.items()]
    values = [footprint, *(value for *_, value in found)]
    scale = byte_scale(value(network) for value in values for network in networks)
    shown = [Column("", f"In memory ({scale.symbol})", "In memory", "footprint_bytes", scale, footprint)]
    for family, part, heading, value in found:
        titled = f"{family} moves ({scale.symbol})"
        shown.append(Column(titled, heading, f"{titled}, {heading}", part, scale, value))
    return [column for column in shown if any(column.value(network) for network in networks)]


def markdown(groups: Sequence[Group], pricing: Pricing, note: str) -> str:
    """The table for a paper, and what its reader needs to know."""
    networks = [network for group in groups for network in group.networks]
    shown = shown_columns(networks, pricing)
    rows = [
        Row(_plain(network.label), (kind_of(network), *(column.cell(network) for column in shown)))
        for network in networks
    ]
    table = markdown_table(["Network", "Kind", *(_plain(column.title) for column in shown)], rows)
    return f"{table}\n\n{note}\n"


def _plain(text: str) -> str:
    """A name that does not end its cell, its row or the text."""
    one_line = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\|<>*_`[]" else letter for letter in one_line) or MISSING


def comma_separated(groups: Sequence[Group], pricing: Pricing) -> str:
    """The same numbers for a program: mean and deviation of each, in their own units (shares, counts, pJ)."""
    networks = [network for group in groups for network in group.networks]
    shown = columns(networks, pricing)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    quantities = [f"{column.key}_{part}" for column in shown for part in ("mean", "sd")]
    writer.writerow(["run", "network", "kind", "source", "seeds", *quantities])
    for network in networks:
        samples = [column.value(network) for column in shown]
        numbers = [number for sample in samples for number in _mean_and_deviation(sample)]
        about = [network.run, network.first.name, network.first.kind, network.first.source or ""]
        writer.writerow([*about, " ".join(map(str, network.seeds)), *numbers])
    return text.getvalue()


def _mean_and_deviation(sample: Sample) -> tuple[str, str]:
    mean = repr(sample.mean) if sample else ""
    return mean, repr(sample.deviation) if len(sample.values) > 1 else ""
