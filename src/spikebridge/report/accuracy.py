"""How right a network is: over time, and against the energy it takes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from .axes import DASHES, accuracy_axis, marked, ratio_axis, reference_colour, time_axis
from .compare import Network, Sample, powers_of_two
from .numbers import PERCENT, Scale, energy, energy_scale
from .picture import Picture, canvas, finish, height_with_legend, legend_below, shortened, style_of
from .price import Price, Pricing
from .spread import draw_curves, spread_note
from .theme import QUIET


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
        accuracy_axis(axes)
        legend_below(figure, handles, labels)
        return finish(
            figure,
            name="accuracy-over-time",
            title="Accuracy over time-steps",
            finding=" ".join([*map(_over_time, spiking), *map(_constant, levels)]),
            caption=_caption_over_time(spiking, levels),
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
    with canvas(height_with_legend(3.0, labels)) as figure:
        axes = figure.subplots()
        handles = [_point(axes, network, pricing, scale, index) for index, network in enumerate(others)]
        handles += [_path(axes, network, pricing, scale, index) for index, network in enumerate(spiking)]
        accuracy_axis(axes)
        for index, network in enumerate(spiking):
            place = quantised_cost(pricing(network, network.time_steps)) / scale.unit
            axes.plot([place], [axes.get_ylim()[0]], "^", color=style_of(index)["color"], markersize=8, clip_on=False)
        axes.set_xscale("log")
        ratio_axis(axes.xaxis)
        axes.set_xlabel(f"energy of one inference ({scale.symbol})")
        legend_below(figure, [*handles, axes.plot([], [], "^", color=QUIET, markersize=8)[0]], labels)
        return finish(
            figure,
            name="accuracy-against-energy",
            title="Accuracy against energy",
            finding=" ".join(_against_energy(network, pricing) for network in priced),
            caption=_caption_against_energy(priced),
        )


def _level(axes: Any, network: Network, index: int) -> Any:
    dashes, colour = DASHES[index % len(DASHES)], reference_colour(network)
    return axes.axhline(100 * network.final_accuracy.mean, color=colour, linewidth=1.1, linestyle=dashes, zorder=1.5)


def _point(axes: Any, network: Network, pricing: Pricing, scale: Scale, index: int) -> Any:
    place = cost(pricing(network, 1)) / scale.unit
    share = 100 * network.final_accuracy.mean
    return axes.plot([place], [share], "pHd8<>"[index % 6], color=reference_colour(network), markersize=8)[0]


def _path(axes: Any, network: Network, pricing: Pricing, scale: Scale, index: int) -> Any:
    steps = [t for t in range(1, network.time_steps + 1) if network.accuracy(t)]
    places = [cost(pricing(network, t)) / scale.unit for t in steps]
    shares = [100 * network.accuracy(t).mean for t in steps]
    return axes.plot(places, shares, **{**style_of(index), "markevery": marked(len(steps))})[0]


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


def _caption_over_time(spiking: list[Network], levels: list[Network]) -> str:
    parts = ["Test accuracy, had the network stopped after T steps."]
    if levels:
        parts.append("Level lines: ANNs, which have no time.")
    if len(spiking) > 1:
        parts.append("Curves stand a little apart sideways, so that equal ones can be told apart.")
    return " ".join([*parts, spread_note([*spiking, *levels])])


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


def _caption_against_energy(networks: list[Network]) -> str:
    seeds = "One seed each." if all(len(network.seeds) == 1 for network in networks) else "Means over seeds."
    return (
        "Energy of one inference, by the prices under the table. A curve joins the steps of an SNN, from T = 1 at its "
        "left end. A triangle on the axis is what the same layers cost as an ANN of as many bits as the SNN of that "
        f"colour has after its last step; equal ones cover each other. {seeds}"
    )
