"""Where a training step's time goes: a bar for every layer, beside the least that the machine would take."""

from __future__ import annotations

from ..measure.profile import LayerProfile, Profile
from .picture import Picture, canvas, finish, shortened, style_of

MOST = 30
"""Layers that are drawn, the slowest ones, in the network's order."""


def profile_picture(profile: Profile, *, name: str) -> Picture:
    """Milliseconds of every layer, forward and backward.

    Args:
        profile: of one training step.
        name: of the network.
    """
    slowest = sorted(profile.layers, key=lambda layer: -layer.step_s)[:MOST]
    layers = [layer for layer in profile.layers if layer in slowest]
    labels = shortened([f"{layer.layer} ({layer.kind})" for layer in layers], 44)
    places = range(len(layers))
    with canvas(0.7 + 0.19 * len(layers), width=6.4) as figure:
        axes = figure.add_subplot()
        forward = [1e3 * layer.forward_s for layer in layers]
        axes.barh(places, forward, color=style_of(0)["color"], label="forward")
        backward = [1e3 * layer.backward_s for layer in layers]
        axes.barh(places, backward, left=forward, color=style_of(4)["color"], label="backward")
        limits = [1e3 * layer.limit_s for layer in layers]
        axes.plot(limits, places, linestyle="none", marker="|", markersize=8, color="black", label="machine's limit")
        axes.set_yticks(places, labels)
        axes.margins(y=0.01)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("ms")
        figure.legend(loc="outside upper right", ncols=3)
        return finish(
            figure,
            name="profile",
            title=f"One training step of {name}, layer by layer",
            finding=_finding(profile, slowest[0]),
            caption=f"Each layer by itself, the {len(layers)} slowest of {len(profile.layers)}. The mark is the time "
            f"of its products and its memory traffic at rates measured on this machine.",
        )


def _finding(profile: Profile, slowest: LayerProfile) -> str:
    share = 100 * slowest.step_s / max(profile.layers_s, 1e-12)
    return (
        f"Spiking neurons take {100 * profile.neurons_share:.0f} % of the layers' time; {slowest.layer} alone, a "
        f"{slowest.kind}, takes {share:.0f} %."
    )
