"""Whether a converted network is the quantised network it came from: counted, not approximated."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...core.counts import require_whole
from ...core.time import require_steps
from ..convert import Conversion
from ..network import ConvertedNetwork
from .difference import Difference, Verdict
from .matching import Pair, alone, first_difference, forced_on, pairs, parting_layer
from .pairing import Reference, Spiking
from .witness import Log


@torch.no_grad()
def verify(
    snn: ConvertedNetwork | Conversion,
    reference: nn.Module,
    *,
    inputs: Tensor | int = 8,
    time_steps: int = 1,
    members: int | None = None,
    signed: bool | None = None,
    seed: int = 0,
) -> Verdict:
    """Run a converted network and the quantised network it must equal, and find the first count that differs.

    Both run as copies in float64 with sums that are exact in any order (:class:`~.exact.ExactSums`), so no difference
    comes from rounding. The reference's activations are replaced by integer arithmetic that knows nothing of membranes
    (:class:`~.counted.Counted`); the converted network's neurons run their own code. Before either decides, currents
    are rounded to sixteenths of a level, so that ties are common. Compared, all to the last bit and in the order the
    sites run, are what arrives at every site, its level, its counts, and the output at every step. This is done

    1. on the inputs as they are;
    2. on the same inputs, with every site of both networks sending the same random counts from its whole range
       instead of its own, so that every connection carries something and no fault hides behind a silent channel;
    3. for every neuron alone: at every tie of every level and just below it, beyond both ends too.

    What "equal" proves: on these inputs, and with these random counts, both compute the same numbers in exact
    arithmetic, connection by connection; and every neuron, whatever drives it, counts as it must at the edge of every
    level and a sixteenth of a level below it.

    What it does not prove: that in float32 both decide alike where a current comes within rounding of a tie; that
    weights agree beyond the 17 to 24 bits, counted from the largest of their channel, that enter a sum; that inputs
    which were not drawn give nothing new (two functions between sites that are not linear could part elsewhere); that
    the reference is any good. For T > 1 it says nothing of an ordinary network: the reference is then the reference's
    layers, run step by step, with counts N(t) = clip(floor(S(t) + 1/2), N(t - 1), N(t - 1) + members) at its sites.
    Layers folded into one count as another network, since their product was rounded.

    Args:
        snn: what :func:`convert` made, or its ``.model``.
        reference: the network with QCFS activations that was converted, or ``conversion.quantised``.
        inputs: values [batch, *unit], or how many to draw: whole 255ths of the calibrated range of a Conversion, or
            whole sixteenths from -2 to 2.
        time_steps: T.
        members: for T > 1, by how many levels a count may rise in a step. None is what a Conversion was made with;
            for a bare network, the levels of a QCFS, or the levels of ``conversion.quantised`` divided by the
            network's T.
        signed: for T > 1, whether counts may fall. None is what a Conversion was made with; for a bare network, no.
        seed: of the draws.

    Returns:
        A :class:`Verdict`: true if equal, otherwise with the first layer and element that differ.

    Raises:
        TypeError: ``snn`` was not made by convert, or the reference is no module.
        ValueError: a reference with activations that have no levels; analog calls at T > 1; inputs of another rank;
            ``members`` at T = 1.

    >>> from spikebridge import QCFS, convert
    >>> ann = nn.Sequential(nn.Linear(8, 16), QCFS(levels=4), nn.Linear(16, 3)).eval()
    >>> conversion = convert(ann, torch.randn(5, 8), members=4)
    >>> assert verify(conversion, ann)
    >>> ann[2].bias.data[1] += 1e-3
    >>> verdict = verify(conversion, ann)
    >>> bool(verdict), verdict.difference.layer, verdict.difference.quantity, verdict.difference.index
    (False, '2', 'output', (0, 1))
    """
    conversion, network = (snn, snn.model) if isinstance(snn, Conversion) else (None, snn)
    _check(network, reference, time_steps, members)
    if conversion is not None and time_steps > 1:
        members = conversion.recipe.levels_per_step if members is None else members
        signed = conversion.recipe.neuron == "signed-group" if signed is None else signed
    found = Spiking(network, time_steps=time_steps)
    expected = Reference(
        reference, time_steps=time_steps, members=members, signed=bool(signed), made_for=network.time_steps
    )
    values = _inputs(network, inputs, None if conversion is None else conversion.box, seed)
    difference, sites = _compare(expected, found, values, seed)
    agreed = sites if difference is None else sites[: _position(sites, difference)]
    counts = sum(pair.found.counts.numel() for pair in agreed if pair.found is not None)
    names = tuple(pair.name for pair in agreed)
    return Verdict(difference, names, counts, len(values), time_steps)


def _compare(expected: Reference, found: Spiking, values: Tensor, seed: int) -> tuple[Difference | None, list[Pair]]:
    """The first difference, and the sites of the run on the inputs as they are."""
    draw = torch.Generator().manual_seed(seed)
    sites: list[Pair] = []
    for log in (Log(), Log(draw=draw)):
        wanted = expected.run(values, log)
        got = found.run(values, Log(forced=forced_on(sites, wanted)))
        matched = pairs(wanted, got)
        sites = sites or matched
        expected.require_levels([pair.name for pair in matched if pair.expected is None])
        difference = first_difference(matched, wanted, got)
        if difference is not None:
            return parting_layer(difference, matched, expected, found, values, log, seed), sites
    for pair in sites:
        difference = alone(pair, time_steps=found.time_steps, draw=draw)
        if difference is not None:
            return difference, sites
    return None, sites


def _position(sites: list[Pair], difference: Difference) -> int:
    names = [pair.name for pair in sites]
    return names.index(difference.site) if difference.site in names else len(sites)


def _check(network: Any, reference: Any, time_steps: int, members: int | None) -> None:
    if not isinstance(network, ConvertedNetwork):
        raise TypeError(f"verify expects a Conversion, or its .model; got {type(network).__name__}.")
    if not isinstance(reference, nn.Module):
        raise TypeError(f"verify expects a reference that is an nn.Module; got {type(reference).__name__}.")
    require_steps(time_steps, owner="verify")
    if members is not None:
        require_whole(members, owner="verify", name="members")
        if time_steps == 1:
            raise ValueError(
                f"verify takes members for T > 1 only; got members={members} at T = 1, where the reference runs as it "
                f"is. Leave it out."
            )


def _check_inputs(inputs: Tensor, network: ConvertedNetwork) -> None:
    if inputs.ndim != network.input_rank or inputs.shape[0] == 0:
        raise ValueError(
            f"verify expects inputs of {network.input_rank} axes, [batch, *unit]; got shape {tuple(inputs.shape)}."
        )
    if network.unit is not None and inputs.shape[1:] != network.unit:
        raise ValueError(
            f"verify expects inputs [batch, {', '.join(map(str, network.unit))}], as in calibration; got shape "
            f"{tuple(inputs.shape)}."
        )
    if not bool(torch.isfinite(inputs).all()):
        raise ValueError("verify expects finite inputs; got NaN or infinite values. torch.isfinite finds them.")


def _inputs(network: ConvertedNetwork, inputs: Tensor | int, box: tuple[Tensor, Tensor] | None, seed: int) -> Tensor:
    if isinstance(inputs, Tensor):
        _check_inputs(inputs, network)
        return inputs.detach().to("cpu", torch.float64)
    if not isinstance(inputs, int):
        raise TypeError(f"verify expects inputs to be a tensor, or how many to draw; got {type(inputs).__name__}.")
    require_whole(inputs, owner="verify", name="inputs")
    if network.unit is None:
        raise ValueError("verify does not know the shape of this network's inputs; pass inputs=, a batch of them.")
    draw, shape = torch.Generator().manual_seed(seed), (inputs, *network.unit)
    if box is None:
        return torch.randint(-32, 33, shape, generator=draw).double() / 16
    low, high = (side.detach().to("cpu", torch.float64) for side in (box[0].min(), box[1].max()))
    return low + torch.randint(0, 256, shape, generator=draw).double() * ((high - low) / 255)
