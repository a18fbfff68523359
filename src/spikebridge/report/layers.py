"""The operations of every layer: what was counted, what it is of the dense layer, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..measure.layer import LayerOperations
from .compare import Group, Network, Sample
from .numbers import Scale, count_scale, energy_scale, kept_together
from .picture import short
from .price import Pricing
from .scroll import scrolling

_SHARE = Scale(1.0, "", 3)


def layers_html(groups: Sequence[Group], pricing: Pricing) -> str:
    """A table with a part for every network and a row for each of its layers; the first seed of each."""
    networks = [network for group in groups for network in group.networks if network.first.operations]
    every = [layer.until(network.time_steps) for network in networks for layer in network.first.operations]
    counts = count_scale([Sample.of([count]) for count in every if count >= 1])
    prices = energy_scale([Sample.of([price]) for network in networks for price in _layers_pj(network, pricing)])
    caption = (
        "One inference, all steps, layers from the input down. Priced are all operations; effective ones are those "
        "whose input and weight are not zero. Connections are the operations of one run of the dense layer."
    )
    if any(len(network.seeds) > 1 for network in networks):
        caption += " First seed of each network."
    said = escape(caption)
    bodies = "".join(_body(network, _layers_pj(network, pricing), counts, prices) for network in networks)
    head = _head(f" ({counts.symbol})" if counts.symbol else "", f" ({prices.symbol})")
    return scrolling(f"<table><caption><span>{said}</span></caption>{head}{bodies}</table>", said)


def _layers_pj(network: Network, pricing: Pricing) -> tuple[float, ...]:
    return pricing(network, network.time_steps)[0].layers_pj


def _head(count: str, price: str) -> str:
    names = ("Layer", "Kind", f"Operations{count}", f"Effective{count}", f"Connections{count}")
    cells = "".join(f'<th scope="col">{name}</th>' for name in (*names, "Spikes per connection", f"Energy{price}"))
    return f"<thead><tr>{cells}</tr></thead>"


def _body(network: Network, layers_pj: Sequence[float], counts: Scale, prices: Scale) -> str:
    steps = f"T = {network.time_steps}" if network.is_spiking else "one pass"
    heading = f"{escape(network.label)}<small>{kept_together(steps)}</small>"
    rows = "".join(
        _row(layer, network.time_steps, counts, prices.text(price))
        for layer, price in zip(network.first.operations, layers_pj, strict=True)
    )
    top = f'<tr class="run"><th scope="rowgroup" colspan="7"><span>{heading}</span></th></tr>'
    return f"<tbody>{top}{rows}</tbody>"


def _row(layer: LayerOperations, time_steps: int, counts: Scale, price: str) -> str:
    priced = layer.until(time_steps)
    sent = priced / layer.connections if layer.kind == "AC" and layer.connections else None
    numbers = (priced, layer.effective_until(time_steps), layer.connections or None)
    cells = (layer.kind, *map(counts.text, numbers), _SHARE.text(sent), price)
    name = escape(short(layer.layer, 60))
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
