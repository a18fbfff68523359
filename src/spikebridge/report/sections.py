"""The sections of the page; one that would have nothing to show is left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from .accuracy import accuracy_against_energy, accuracy_over_time
from .activity import firing_rates, raster
from .compare import Group, Network
from .comparison import KINDS, Column, columns, memory_columns
from .learning import training_curves
from .numbers import kept_together
from .parameters import step_parameters, threshold_histograms
from .picture import Picture
from .price import Pricing
from .repeat import repeat_html
from .spread import seeds_text
from .words import what_it_is


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        anchor: its address in the page.
        title: its heading.
        html: what is under the heading.
        pictures: the figures in it, for the files beside the page.
    """

    anchor: str
    title: str
    html: str
    pictures: tuple[Picture, ...] = ()


def all_sections(groups: Sequence[Group], pricing: Pricing, note: str) -> list[Section]:
    """Every section that has something to show, in reading order."""
    networks = [network for group in groups for network in group.networks]
    spiking = [network for network in networks if network.is_spiking]
    taken: set[str] = set()
    unique = lambda kind, label="": _unique_name(kind, label, taken)  # noqa: E731
    main = [accuracy_over_time(networks), accuracy_against_energy(networks, pricing)]
    found = [
        _comparison(groups, pricing, note),
        _figures("accuracy", "Accuracy", main),
        _what_they_are(networks),
        _figures("training", "Training", training_curves(groups)),
        _figures("spikes", "Spikes", [*_rates(groups, unique), *_rasters(spiking, unique)]),
        _figures("thresholds", "Thresholds", _thresholds(networks, unique)),
        _figures("parameters", "Neurons over time", _parameters(spiking, unique)),
        Section("repeat", "How to repeat it", repeat_html(groups)),
        _notes(networks),
    ]
    return [section for section in found if section]


def _figures(anchor: str, title: str, pictures: Sequence[Picture | None]) -> Section | None:
    shown = tuple(picture for picture in pictures if picture)
    if not shown:
        return None
    return Section(anchor, title, f'<div class="figures">{"".join(map(figure_html, shown))}</div>', shown)


def figure_html(picture: Picture) -> str:
    """A figure of the page, with its caption and its files."""
    of_what = f'<span class="unseen"> of {escape(picture.title)}</span>'
    links = " ".join(f'<a href="figures/{picture.name}.{kind}">{kind.upper()}{of_what}</a>' for kind in ("png", "svg"))
    return (
        f'<figure id="{picture.name}"><h3>{escape(picture.title)}</h3>'
        f'<div class="scroll">{picture.inline()}</div>'
        f'<figcaption>{escape(kept_together(picture.caption))} <span class="files">{links}</span></figcaption></figure>'
    )


def _comparison(groups: Sequence[Group], pricing: Pricing, note: str) -> Section | None:
    networks = [network for group in groups for network in group.networks]
    if not networks:
        return None
    html = _table(groups, columns(networks, pricing), _caption(groups))
    if any(pricing(network, 1) for network in networks):
        html += f'<p class="note">{escape(kept_together(note))}</p>'
        html += f"<details><summary>Memory, which the energy leaves out</summary>{_memory(groups, pricing)}</details>"
    return Section("comparison", "Comparison", html)


def _memory(groups: Sequence[Group], pricing: Pricing) -> str:
    networks = [network for group in groups for network in group.networks]
    caption = (
        "Bytes of one inference. Weights move for every operation, or once whenever a layer runs; machines do either."
    )
    return _table(groups, memory_columns(networks, pricing), caption)


def _table(groups: Sequence[Group], shown: Sequence[Column], caption: str) -> str:
    bodies = "".join(_body(group, shown, has_heading=len(groups) > 1) for group in groups if group.networks)
    said = escape(caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{said}">'
        f"<table><caption><span>{said}</span></caption>{_head(shown)}{bodies}</table></div>"
    )


def _caption(groups: Sequence[Group]) -> str:
    seeds = "; ".join(dict.fromkeys(seeds_text(group.seeds) for group in groups if group.networks))
    most = max(len(group.seeds) for group in groups)
    spread = (
        " Numbers are mean ± sample standard deviation." if most >= 3 else " Both seeds are given." if most == 2 else ""
    )
    return f"Test accuracy, activity and cost of one inference after the last step; {seeds}.{spread}"


def _head(shown: Sequence[Column]) -> str:
    families = [(family, list(members)) for family, members in groupby(shown, key=lambda column: column.family)]
    upper = ['<th scope="col" rowspan="2">Network</th>']
    for family, members in families:
        upper.append(
            f'<th scope="colgroup" colspan="{len(members)}" class="family">{escape(family)}</th>'
            if family
            else "".join(f'<th scope="col" rowspan="2">{escape(column.heading)}</th>' for column in members)
        )
    lower = [f'<th scope="col">{escape(column.heading)}</th>' for column in shown if column.family]
    return f"<thead><tr>{''.join(upper)}</tr><tr>{''.join(lower)}</tr></thead>"


def _body(group: Group, shown: Sequence[Column], *, has_heading: bool) -> str:
    heading = (
        f'<tr class="run"><th scope="rowgroup" colspan="{len(shown) + 1}"><span>{escape(group.label)}</span></th></tr>'
        if has_heading
        else ""
    )
    return f"<tbody>{heading}{''.join(_row(network, shown) for network in group.networks)}</tbody>"


def _row(network: Network, shown: Sequence[Column]) -> str:
    cells = "".join(f"<td>{escape(column.cell(network))}</td>" for column in shown)
    result = network.first
    kind = KINDS[result.kind] + (f" from {result.source}" if result.source else "")
    return f'<tr><th scope="row">{escape(result.name)}<small>{escape(kind)}</small></th>{cells}</tr>'


def _what_they_are(networks: Sequence[Network]) -> Section | None:
    said: dict[str, list[str]] = {}
    for network in networks:
        said.setdefault(what_it_is(network), []).append(network.label)
    rows = [
        f"<dt>{'<br>'.join(escape(label) for label in labels)}</dt><dd>{escape(kept_together(text))}</dd>"
        for text, labels in said.items()
    ]
    return Section("methods", "What each network is", f"<dl>{''.join(rows)}</dl>") if rows else None


def _rates(groups: Sequence[Group], unique: Callable[..., str]) -> list[Picture | None]:
    found = []
    for group in groups:
        title = "Firing rate of each layer" + (f": {group.label}" if len(groups) > 1 else "")
        found.append(firing_rates(group.networks, name=unique("firing-rates", group.label), title=title))
    return found


def _rasters(spiking: Sequence[Network], unique: Callable[..., str]) -> list[Picture | None]:
    return [raster(network, name=unique("raster", network.label)) for network in spiking]


def _thresholds(networks: Sequence[Network], unique: Callable[..., str]) -> list[Picture | None]:
    """One figure per set of thresholds: networks converted alike share theirs."""
    alike: dict[str, list[Network]] = {}
    for network in networks:
        alike.setdefault(repr(network.first.thresholds), []).append(network)
    return [threshold_histograms(some, name=unique("thresholds", some[0].label)) for some in alike.values()]


def _parameters(spiking: Sequence[Network], unique: Callable[..., str]) -> list[Picture | None]:
    return [
        step_parameters(network, parameter, name=unique(parameter, network.label))
        for network in spiking
        for parameter in dict.fromkeys(key for found in network.first.neuron_parameters.values() for key in found)
    ]


def _unique_name(kind: str, label: str, taken: set[str]) -> str:
    """A file name for a figure: safe everywhere, and no other figure's."""
    slug = re.sub(r"[^a-z0-9]+", "-", f"{kind} {label}".lower()).strip("-")[:60].strip("-") or "figure"
    name, count = slug, 2
    while name in taken:
        name, count = f"{slug}-{count}", count + 1
    taken.add(name)
    return name


_MEANINGS = {
    "Accuracy": "Share of test samples whose largest output is the right class; for an SNN, had it stopped after T "
    "steps.",
    "Effective operations": "Of one sample: an AC (accumulate) for every spike and connection that it travels, a MAC "
    "(multiply and accumulate) for every connection that carries an analog number; without those whose input or "
    "weight is zero. A count of k spikes is k ACs.",
    "Energy, quantised ANN": "The same layers as an ANN whose activations have so many bits that they tell apart as "
    "many values as the SNN can in its T steps. Beside a 32-bit ANN, an SNN would be credited with what quantisation "
    "gives.",
    "Spikes per neuron": "Sent by the mean neuron for one sample, in all T steps; spikes taken back count too.",
    "Break-even": "The rate at which the SNN would cost as much as that ANN, if all its neurons sent more or fewer in "
    "proportion. An SNN that sends more costs more; a dash says that none would do.",
    "±": "Sample standard deviation over seeds (n - 1). One or two seeds are given one by one.",
}


def _notes(networks: Sequence[Network]) -> Section | None:
    if not networks:
        return None
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in _MEANINGS.items())
    return Section("notes", "What the columns mean", f"<dl>{rows}</dl>")
