"""The comparison as HTML: its table, the memory table under it, and what the columns mean."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from .compare import Group, Network
from .comparison import Column, kind_of, memory_columns, shown_columns
from .layers import layers_html
from .numbers import Scale, joined, kept_together
from .price import Pricing
from .scroll import scrolling
from .spread import seeds_text


def comparison_html(groups: Sequence[Group], pricing: Pricing, note: str) -> str:
    """The comparison, what its prices are, and the memory they leave out; empty where no network was measured."""
    networks = [network for group in groups for network in group.networks]
    if not networks:
        return ""
    html = _table(groups, shown_columns(networks, pricing), _caption(groups))
    if any(pricing(network, 1) for network in networks):
        html += f'<p class="note">{escape(kept_together(note))}</p>'
        html += f"<details><summary>Operations, layer by layer</summary>{layers_html(groups, pricing)}</details>"
        html += f"<details><summary>Memory, which the energy leaves out</summary>{_memory(groups, pricing)}</details>"
    return html


def _memory(groups: Sequence[Group], pricing: Pricing) -> str:
    networks = [network for group in groups for network in group.networks]
    caption = (
        "What one inference moves between memory and arithmetic: weights, either for every operation or once whenever "
        "their layer runs, and states, which are membranes at every step or activations once."
    )
    return _table(groups, memory_columns(networks, pricing), caption)


def _table(groups: Sequence[Group], shown: Sequence[Column], caption: str) -> str:
    bodies = "".join(_body(group, shown, has_heading=len(groups) > 1) for group in groups if group.networks)
    said = escape(caption)
    return scrolling(f"<table><caption><span>{said}</span></caption>{_head(shown)}{bodies}</table>", said)


def _caption(groups: Sequence[Group]) -> str:
    """What the table holds; which seeds ran stands here for one configuration, and in its heading for each of more."""
    seeds = f", {seeds_text(groups[0].seeds)}" if len(groups) == 1 else ""
    counts = {len(group.seeds) for group in groups}
    spread = []
    if max(counts) >= 3:
        spread.append("mean ± sample standard deviation" + (" of three or more seeds" if min(counts) < 3 else ""))
    if 2 in counts:
        spread.append("both numbers of two seeds")
    said = f" Given are {joined(spread)}." if spread else ""
    networks = [network for group in groups for network in group.networks]
    return (
        f"Test accuracy, and activity and cost of one inference after the last step{seeds}.{said}{_counted(networks)}"
    )


def _counted(networks: Sequence[Network]) -> str:
    """Of how many samples the operations are, where the records know."""
    counts = sorted({result.counted for network in networks for result in network.results if result.operations} - {0})
    if not counts:
        return ""
    several = " to ".join(Scale(1.0, "", 0).text(count) for count in dict.fromkeys([counts[0], counts[-1]]))
    return f" Operations, and so energies, are means over {several} test {'sample' if counts == [1] else 'samples'}."


def _head(shown: Sequence[Column]) -> str:
    families = [(family, list(members)) for family, members in groupby(shown, key=lambda column: column.family)]
    upper = ['<th scope="col" rowspan="2">Network</th>']
    for family, members in families:
        upper.append(
            f'<th scope="colgroup" colspan="{len(members)}" class="family">{escape(family)}</th>'
            if family
            else "".join(f'<th scope="col" rowspan="2">{escape(column.heading)}</th>' for column in members)
        )
    lower = [f'<th scope="col">{escape(kept_together(column.heading))}</th>' for column in shown if column.family]
    return f"<thead><tr>{''.join(upper)}</tr><tr>{''.join(lower)}</tr></thead>"


def _body(group: Group, shown: Sequence[Column], *, has_heading: bool) -> str:
    said = f"<span>{escape(group.label)}<small>{escape(seeds_text(group.seeds))}</small></span>"
    columns = len(shown) + 1
    heading = f'<tr class="run"><th scope="rowgroup" colspan="{columns}">{said}</th></tr>' if has_heading else ""
    return f"<tbody>{heading}{''.join(_row(network, shown) for network in group.networks)}</tbody>"


def _row(network: Network, shown: Sequence[Column]) -> str:
    cells = "".join(f"<td>{_spread_apart(column.cell(network))}</td>" for column in shown)
    result = network.first
    kind = kind_of(network) + (f" from {result.source}" if result.source and result.source not in result.name else "")
    return f'<tr><th scope="row">{escape(result.name)}<small>{escape(kind)}</small></th>{cells}</tr>'


def _spread_apart(cell: str) -> str:
    """Mean over deviation, or one seed over the other: side by side they would push columns out of sight."""
    mean, sign, deviation = escape(cell).partition(" ± ")
    return f'{mean}<span class="spread">{sign}{deviation}</span>' if sign else mean.replace(" / ", " /<br>")


_MEANINGS = (
    (
        "Accuracy",
        "",
        "Share of test samples whose largest output is the right class; for an SNN, had it stopped after T steps.",
    ),
    (
        "Operations",
        "multiplies",
        "Of one sample: an AC (accumulate) for every spike and connection that it travels, a MAC (multiply and "
        "accumulate) for every connection that carries an analog number. A count of k spikes is k ACs. These are what "
        "the energy prices, zeros included; effective ACs and MACs, without those whose input or weight is zero, are "
        "in the list of layers and in table.csv.",
    ),
    (
        "Energy, quantised ANN",
        "quantised_energy_pj",
        "The same layers as an ANN whose activations have so many bits that they tell apart as many values as the SNN "
        "can in its T steps. Beside a 32-bit ANN, an SNN would be credited with what quantisation "
        "gives. How right such an ANN is stands in the table only where one was measured.",
    ),
    (
        "Spikes per neuron and step",
        "rate",
        "Sent by the mean neuron for one sample, over all T steps; spikes taken back count too.",
    ),
    (
        "Break-even",
        "quantised_energy_pj",
        "The rate at which the SNN would cost as much as that ANN, if all its neurons sent more or fewer in "
        "proportion. An SNN that sends more costs more; a dash says that no rate would do.",
    ),
    ("±", "spread", "Sample standard deviation over seeds (n - 1). One or two seeds are given one by one."),
)
"""Name, the column that must be there for it to be of use, and the meaning."""


def meanings_html(networks: Sequence[Network], pricing: Pricing) -> str:
    """What the columns that are there mean; empty where there are none."""
    if not networks:
        return ""
    there = {"", *(column.key for column in shown_columns(networks, pricing))}
    if any(len(network.seeds) > 1 for network in networks):
        there.add("spread")
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, needs, text in _MEANINGS if needs in there
    )
    return f"<dl>{rows}</dl>"
