"""The sections of the page; one that would have nothing to show is left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape

from .accuracy import accuracy_against_energy, accuracy_over_time
from .activity import firing_rates, raster
from .compare import Group, Network
from .comparison_html import comparison_html, meanings_html
from .learning import training_curves
from .numbers import kept_together
from .parameters import step_parameters, threshold_histograms
from .picture import Picture
from .price import Pricing
from .repeat import repeat_html
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
    unique = partial(_unique_name, taken=set())
    main = [accuracy_over_time(networks), accuracy_against_energy(networks, pricing)]
    found = [
        _section("comparison", "Comparison", comparison_html(groups, pricing, note)),
        _figures("accuracy", "Accuracy", main),
        _what_they_are(networks),
        _figures("training", "Training", training_curves(groups)),
        _figures("spikes", "Spikes", [*_rates(groups, unique), *_rasters(spiking, unique)]),
        _figures("thresholds", "Thresholds", _thresholds(networks, unique)),
        _figures("parameters", "Neurons over time", _parameters(spiking, unique)),
        Section("repeat", "How to repeat it", repeat_html(groups)),
        _section("notes", "What the columns mean", meanings_html(networks, pricing)),
    ]
    return [section for section in found if section]


def _section(anchor: str, title: str, html: str) -> Section | None:
    return Section(anchor, title, html) if html else None


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
        step_parameters(network, parameter, name=unique(f"parameter {parameter}", network.label))
        for network in spiking
        for parameter in dict.fromkeys(key for found in network.first.neuron_parameters.values() for key in found)
    ]


def _unique_name(kind: str, label: str, *, taken: set[str]) -> str:
    """A file name for a figure: safe everywhere, and no other figure's."""
    slug = re.sub(r"[^a-z0-9]+", "-", f"{kind} {label}".lower()).strip("-")[:60].strip("-") or "figure"
    name, count = slug, 2
    while name in taken:
        name, count = f"{slug}-{count}", count + 1
    taken.add(name)
    return name
