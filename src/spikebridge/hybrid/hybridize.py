"""Spiking twins beside, or in the place of, modules of a network that exists."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar, cast

import torch
from torch import nn

from ..blocks.hybrid import Fusion, HybridBlock, Mode, check_mode
from ..core.encoder import Encoder
from ..core.shapes import SpikeTrain, Value
from ..core.time import TimeAxis
from ..models.branches import planes, tau_two
from .chosen import Where, chosen
from .runs import placed
from .twin import NeuronFactory, Weights, spiking_twin
from .waking import Place, put, wake

Made = TypeVar("Made", bound=nn.Module)


class Beside(HybridBlock):
    """A HybridBlock beside an analog branch that may write to the values, as an in-place ReLU does."""

    def train_out(self, values: Value) -> SpikeTrain:
        return super().train_out(values.clone())


def hybridize(
    model: nn.Module,
    where: Where,
    *,
    mode: Mode = "gated",
    encoder: Callable[[], Encoder] = planes,
    neuron: NeuronFactory = tau_two,
    decoder: Callable[[], nn.Module] | None = None,
    weights: Weights = "copy",
    batches: Iterable[Any] | None = None,
) -> nn.Module:
    """A new model in which chosen modules have a spiking twin: analog(x) + gate * decode(twin(encode(x))).

    See :class:`Fusion` for the modes and :func:`spiking_twin` for what a twin is. The given model is not touched and
    shares nothing with the new one. "gated" begins with a gate of 0: until it is trained, the output is that of the
    given model bit for bit. Whether a twin keeps the shape is seen in the first forward.

    Pass ``batches`` for a network that is trained. Its weights and norms expect numbers, and planes of 0 and 1 rarely
    bring a neuron to its threshold through them: without, most twins are silent, and behind a gate of 0 stay so. With
    some batches ranges, norms and currents of the spiking branches are measured (see :func:`wake`); analog branches,
    and the weights of both, stay as they are.

    A block's spikes are decoded to values in [0, 1], whatever the range of what the module gave: in "serial" what comes
    after it sees another scale, and has to be trained again. A weight that a module in "serial" shares with one outside
    is no longer shared.

    Modules that lie within another match are left to it: the outermost is replaced. A module that is registered under
    several of the names stays shared. Names within a replaced module go on as "name.analog" and "name.spiking.core".

    Args:
        model: an analog network, or what this function has returned for other modules.
        where: names as in ``model.named_modules()``, with shell patterns such as "layer2.*"; a type; a function of
            (name, module); or several of these. Modules in a row of an nn.Sequential are one as "features.0:3", which
            :func:`runs_of` finds. Never the model itself: wrap it in nn.Sequential.
        mode: "gated" or "add" keep the module in a Fusion; "serial" puts the HybridBlock in its place.
        encoder: makes the code of one module.
        neuron: makes the neuron of one activation.
        decoder: makes what turns a twin's train into values; None weighs the steps as the code does.
        weights: of a twin: "copy", or "fresh".
        batches: inputs, or tuples that start with them, such as a DataLoader; at most eight are used.

    Raises:
        TypeError: no module, a ``where`` that is none of these, something made that is no encoder or neuron, or
            batches of something else.
        ValueError: nothing matched; a module without a twin; a model that is compiled, scripted, patched or narrower
            than float32; no batch, or one that the model does not take.
    Source:  blocks after Luu, Luu, Pham, Truong, arXiv 2509.24411; setting up weights by data, layer by layer, after
        Mishkin, Matas, arXiv 1511.06422.
    Deviates:  there twins have weights of their own, LIF neurons in a residual block come before the sum, and max
        pooling becomes average pooling; and there it is the variance of a layer's output that is set.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 8), nn.ReLU()), nn.Linear(8, 2))
    >>> values = torch.randn(50, 4)
    >>> hybrid = hybridize(net, "2", batches=[values])
    >>> type(hybrid[2]).__name__, torch.equal(hybrid(values), net(values))
    ('Fusion', True)
    """
    _check_model(model)
    check_mode(mode, owner="hybridize")
    result = copy.deepcopy(model)
    names: dict[nn.Module, list[str]] = {}
    for name in [placed(result, name) for name in chosen(model, where)]:
        names.setdefault(result.get_submodule(name), []).append(name)
    places = []
    for module, own in names.items():
        twin = spiking_twin(module, neuron=neuron, weights=weights, name=own[0])
        code = _made(encoder, Encoder, name="encoder", example="lambda: BitPlane(bits=4)")
        back = decoder and _made(decoder, nn.Module, name="decoder", example="RateDecoder")
        block = (HybridBlock if mode == "serial" else Beside)(twin, code, back)
        places.append(Place(tuple(own), _settled(block, module, like=model)))
    if batches is not None:
        # A gate of 0 lets nothing through: what arrives at later blocks is what arrives without it.
        wake(
            copy.deepcopy(result), places, batches, stand_in=None if mode == "gated" else partial(_stand_in, mode=mode)
        )
    for place, module in zip(places, names, strict=True):
        put(result, place.names, _stand_in(module, place.block, mode=mode))
    for name, part in result.named_modules():
        if isinstance(part, TimeAxis):
            part.label = name
    return result


def _settled(block: HybridBlock, module: nn.Module, *, like: nn.Module) -> HybridBlock:
    """The block on the device of the module, and in its mode."""
    stored = next((t for owner in (module, like) for t in (*owner.parameters(), *owner.buffers())), torch.empty(0))
    for part in (block.encoder, block.decoder):
        if part is not None:
            part.train(module.training)
    block.training = module.training
    return block.to(stored.device)


def _stand_in(module: nn.Module, block: HybridBlock, *, mode: Mode) -> nn.Module:
    """What stands where the module stood."""
    if mode == "serial":
        return block
    fusion = Fusion(module, block, mode=mode)
    fusion.training = module.training
    if fusion.gate is not None:
        device = next(tensor.device for tensor in (*block.parameters(), *block.buffers()))
        fusion.gate = nn.Parameter(fusion.gate.detach().to(device))
    return fusion


def _made(factory: Callable[[], Made], kind: Callable[..., Made], *, name: str, example: str) -> Made:
    if isinstance(factory, nn.Module) or not callable(factory):
        raise TypeError(
            f"hybridize expects {name} to make one for each module, such as {example}; got {type(factory).__name__}."
        )
    made = factory()
    if not isinstance(made, cast("type[Made]", kind)):
        raise TypeError(f"hybridize expects {name} to make one, such as {example}; it made {made!r}.")
    return made


def _check_model(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"hybridize expects an nn.Module; got {type(model).__name__}.")
    if hasattr(model, "_orig_mod"):
        raise ValueError("The network is compiled; hybridize the original (model._orig_mod), compile the result.")
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise ValueError("The network is scripted; hybridize the module it was scripted from.")
    patched = [f"'{name or type(model).__name__}'" for name, part in model.named_modules() if _is_patched(part)]
    if patched:
        raise ValueError(
            f"The forward of {', '.join(patched)} was put into the object, where a copy would still call the "
            f"original's. Define it in the class."
        )
    narrow = sorted({str(p.dtype) for p in model.parameters() if p.dtype in (torch.bfloat16, torch.float16)})
    if narrow:
        raise ValueError(
            f"hybridize expects float32 or float64 weights; got {', '.join(narrow)}. Pass model.float() and run the "
            f"result under torch.autocast: codes and neurons keep float32."
        )


def _is_patched(part: nn.Module) -> bool:
    return "forward" in vars(part) and not isinstance(part, torch.fx.GraphModule)
