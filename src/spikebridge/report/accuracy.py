"""How right a network is: over time, and against the energy it takes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from .axes import DASHES, accuracy_axis, bend_note, marked, ratio_axis, reference_colour, reference_style, time_axis
from .compare import Network, Sample, powers_of_two
from .numbers import PERCENT, Scale, energy, energy_scale
from .picture import Picture, canvas, finish, height_with_legend, legend_below, shortened, style_of
from .price import Price, Pricing
from .spread import draw_curves, spread_note
from .theme import QUIET

_TICK: Any = {"marker": "|", "linestyle": "none", "markersize": 9, "markeredgewidth": 2.2}


def accuracy_over_time(networks: Sequence[Network]) -> Picture | None:
    """Accuracy of every SNN after 1, 2, ... T steps, and that of the ANNs as level lines."""
    spiking = [network for network in networks if network.is_spiking and network.final_accuracy]
    levels = [network for network in networks if not network.is_spiking and network.final_accuracy]
    if not spiking:
        return None
    labels = shortened([network.label for network in [*levels, *spiking]])
    with canvas(height_with_legend(3.0, labels)) as figure:
        axes = figure.subplots()
        handles = [_level(axes, network, index) for index, network in enumerate(levels)]
        for index, network in enumerate(spiking):
            aside = 1.02 ** (index - (len(spiking) - 1) / 2)
            rows = [[100 * share for share in result.accuracies] for result in network.results]
            style = {**style_of(index), "markevery": marked(network.time_steps)}
            handles.append(draw_curves(axes, [t * aside for t in range(1, network.time_steps + 1)], rows, style))
        time_axis(axes, max(network.time_steps for network in spiking))
        floor = accuracy_axis(axes, [100 * network.final_accuracy.mean for network in [*spiking, *levels]])
        legend_below(figure, handles, labels)
        return finish(
            figure,
            name="accuracy-over-time",
            title="Accuracy over time-steps",
            finding=" ".join([*map(_over_time, spiking), *map(_constant, levels)]),
            caption=_caption_over_time(spiking, levels, bend_note(floor)),
        )


def accuracy_against_energy(networks: Sequence[Network], pricing: Pricing) -> Picture | None:
    """Accuracy over the energy of one inference: an SNN's steps joined, ANNs and quantised ANNs as points."""
    priced = [network for network in networks if network.final_accuracy and pricing(network, network.time_steps)]
    spiking = [network for network in priced if network.is_spiking]
    others = [network for network in priced if not network.is_spiking]
    if not spiking:
        return None
    scale = energy_scale(Sample.of([cost(pricing(network, network.time_steps))]) for network in priced)
    labels = [*shortened([network.label for network in [*others, *spiking]]), "ANN of as many bits"]
    heights = [2.7, 0.2 + 0.17 * len(spiking)]
    with canvas(height_with_legend(0.5 + sum(heights), labels)) as figure:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
        handles = [_point(axes, network, pricing, scale, index) for index, network in enumerate(others)]
        handles += [_path(axes, network, pricing, scale, index) for index, network in enumerate(spiking)]
        floor = accuracy_axis(axes, [100 * network.final_accuracy.mean for network in priced])
        draw_references(below, [pricing(network, network.time_steps) for network in spiking], scale)
        axes.set_xscale("log")
        ratio_axis(axes.xaxis)
        below.set_xlabel(f"energy of one inference ({scale.symbol})")
        legend_below(figure, [*handles, below.plot([], [], color=QUIET, **_TICK)[0]], labels)
        return finish(
            figure,
            name="accuracy-against-energy",
            title="Accuracy against energy",
            finding=" ".join(_against_energy(network, pricing) for network in priced),
            caption=_caption_against_energy(priced, bend_note(floor)),
        )


def _level(axes: Any, network: Network, index: int) -> Any:
    dashes, colour = DASHES[index % len(DASHES)], reference_colour(network)
    return axes.axhline(100 * network.final_accuracy.mean, color=colour, linewidth=1.1, linestyle=dashes, zorder=1.5)


def _point(axes: Any, network: Network, pricing: Pricing, scale: Scale, index: int) -> Any:
    place = cost(pricing(network, 1)) / scale.unit
    share = 100 * network.final_accuracy.mean
    return axes.plot([place], [share], **reference_style(network, index))[0]


def _path(axes: Any, network: Network, pricing: Pricing, scale: Scale, index: int) -> Any:
    steps = [t for t in range(1, network.time_steps + 1) if network.accuracy(t)]
    places = [cost(pricing(network, t)) / scale.unit for t in steps]
    shares = [100 * network.accuracy(t).mean for t in steps]
    return axes.plot(places, shares, **{**style_of(index), "markevery": marked(len(steps))})[0]


def draw_references(axes: Any, spiking: Sequence[list[Price]], scale: Scale) -> None:
    """A row per SNN: its energy after all steps, joined to that of its layers as an ANN of as many bits."""
    for row, prices in enumerate(spiking):
        own, reference = cost(prices) / scale.unit, quantised_cost(prices) / scale.unit
        style = style_of(row)
        axes.plot([own, reference], [row, row], color=style["color"], linewidth=1.1)
        axes.plot([own], [row], style["marker"], color=style["color"], markersize=style["markersize"])
        axes.plot([reference], [row], color=style["color"], **_TICK)
    axes.set_ylim(len(spiking) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_ylabel("last step", rotation=0, ha="right", va="center")


def cost(prices: list[Price]) -> float:
    """Mean energy over seeds, in pJ."""
    return statistics.fmean(price.energy_pj for price in prices)


def quantised_cost(prices: list[Price]) -> float:
    """Mean energy of the quantised ANN over seeds, in pJ."""
    return statistics.fmean(price.quantised_pj for price in prices if price.quantised_pj is not None)


def _over_time(network: Network) -> str:
    steps = powers_of_two(network.time_steps)
    said = ", ".join(f"{PERCENT.of(network.accuracy(t))} % at T = {t}" for t in steps if network.accuracy(t))
    return f"{network.label}: {said}."


def _constant(network: Network) -> str:
    return f"{network.label}: {PERCENT.of(network.final_accuracy)} %."


def _caption_over_time(spiking: list[Network], levels: list[Network], bend: str) -> str:
    parts = ["Test accuracy, had the network stopped after T steps."]
    if levels:
        parts.append("Level lines: ANNs, which have no time.")
    if len(spiking) > 1:
        parts.append("Curves stand a little apart sideways, so that equal ones can be told apart.")
    return " ".join(filter(None, [*parts, bend, spread_note([*spiking, *levels])]))


def _against_energy(network: Network, pricing: Pricing) -> str:
    first, last = pricing(network, 1), pricing(network, network.time_steps)
    final = f"{PERCENT.text(network.final_accuracy.mean)} % for {energy(cost(last))}"
    if not network.is_spiking:
        return f"{network.label}: {final}."
    return (
        f"{network.label}: {PERCENT.text(network.accuracy(1).mean)} % for {energy(cost(first))} at T = 1, {final} at "
        f"T = {network.time_steps}; as an ANN of {network.first.bits} bits its layers would cost "
        f"{energy(quantised_cost(last))}."
    )


def _caption_against_energy(networks: list[Network], bend: str) -> str:
    seeds = "One seed each." if all(len(network.seeds) == 1 for network in networks) else "Means over seeds."
    parts = [
        "Energy of one inference, by the prices under the table. Above: a curve joins the steps of an SNN, from T = 1 "
        "at its left end.",
        bend,
        "Below: each SNN after its last step, and as a tick the same layers as an ANN of as many bits as it has then. "
        "After fewer steps an SNN says less, so an earlier point is to be held against an ANN of fewer bits, which "
        "costs no more than the tick.",
        seeds,
    ]
    return " ".join(filter(None, parts))
