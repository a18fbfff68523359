"""How training went."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .axes import whole_axis
from .compare import Group
from .numbers import joined, plural
from .picture import Picture, canvas, finish, height_with_legend, legend_below, shortened, style_of
from .spread import draw_curves


@dataclass(frozen=True)
class _Curve:
    """One metric of one group: a row of values per seed."""

    group: str
    metric: str
    rows: list[list[float]]
    colour: int
    is_second: bool


def training_curves(groups: Sequence[Group]) -> list[Picture]:
    """Loss, and validation accuracy, over the epochs of training; what was not recorded is not drawn."""
    loss = _picture(groups, ("train/loss", "validation/loss"), name="loss", unit="loss", factor=1.0)
    unit = "validation accuracy (%)"
    share = _picture(groups, ("validation/accuracy",), name="validation-accuracy", unit=unit, factor=100.0)
    return [picture for picture in (loss, share) if picture]


def _picture(
    groups: Sequence[Group], metrics: tuple[str, ...], *, name: str, unit: str, factor: float
) -> Picture | None:
    curves = [curve for index, group in enumerate(groups) for curve in _curves(group, index, metrics, factor)]
    if not curves:
        return None
    labels = shortened([_label(curve, is_alone=len(groups) == 1, is_only=len(metrics) == 1) for curve in curves])
    with canvas(height_with_legend(2.8, labels)) as figure:
        axes = figure.subplots()
        handles = []
        for curve in curves:
            longest = max(map(len, curve.rows))
            style = {**style_of(curve.colour), "markevery": max(1, longest // 8), "markersize": 4}
            if curve.is_second:
                style |= {"linestyle": (0, (2, 1.4)), "markerfacecolor": "none"}
            handles.append(draw_curves(axes, range(1, longest + 1), curve.rows, style))
        whole_axis(axes, "epoch")
        axes.set_ylabel(unit)
        if len(curves) > 1:
            legend_below(figure, handles, labels)
        return finish(
            figure,
            name=name,
            title="Loss over epochs" if name == "loss" else "Validation accuracy over epochs",
            finding=" ".join(map(_finding, curves)),
            caption=_caption(curves, metrics),
        )


def _curves(group: Group, index: int, metrics: tuple[str, ...], factor: float) -> list[_Curve]:
    found = []
    for metric in metrics:
        rows = [[factor * epoch.get(metric, math.nan) for epoch in record.epochs] for record in group.records]
        rows = [row for row in rows if any(math.isfinite(value) for value in row)]
        if rows:
            found.append(_Curve(group.label, metric.replace("/", " "), rows, index, metric != metrics[0]))
    return found


def _label(curve: _Curve, *, is_alone: bool, is_only: bool) -> str:
    """What tells a curve from the others: its group, and of what; the axis says of which quantity."""
    metric = curve.metric.partition(" ")[0]
    return metric if is_alone else curve.group if is_only else f"{curve.group}: {metric}"


def _finding(curve: _Curve) -> str:
    rows = [[value for value in row if math.isfinite(value)] for row in curve.rows]
    first, last = (statistics.fmean(row[place] for row in rows) for place in (0, -1))
    return f"{curve.group}, {curve.metric}: from {first:.4g} to {last:.4g} in {plural(max(map(len, rows)), 'epoch')}."


def _caption(curves: list[_Curve], metrics: tuple[str, ...]) -> str:
    counts = sorted({len(curve.rows) for curve in curves})
    spread = "Line and band: mean and standard deviation over seeds." if counts[-1] >= 3 else "One line per seed."
    names = joined([metric.replace("/", " ") for metric in metrics])
    return f"{names[0].upper()}{names[1:]}, epoch by epoch. {spread}"
