"""The spiking twin of a module: its layers, with neurons for its activations."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from ..blocks.hybrid import HybridBlock
from ..core.neuron import Neuron
from ..core.shapes import SpikeTrain
from ..core.time import Folded, TimeAxis, fold, unfold
from ..models.branches import tau_two
from .activations import ACTIVATION_TYPES, Activation, activations_in
from .trace import Traced, location, shown, trace

NeuronFactory = Callable[[], Neuron[Any]]
Weights = Literal["copy", "fresh"]


class SpikingTwin(nn.Module):
    """A network that has time folded into the batch, as one from trains to trains.

    Args:
        body: called with (folded, time_steps), gives what is folded likewise.

    Shapes:  train [time, batch, *unit] -> train [time, batch, *other].
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        folded = self.body(fold(train), len(train))
        return unfold(folded, time_steps=len(train)) if isinstance(folded, Tensor) else folded


class Driven(Folded):
    """A neuron on scaled currents, in a graph that has time folded into the batch:  neuron(scale * currents).

    The neuron sends what it would at a threshold of threshold / scale, but keeps the distance from the threshold at
    which its surrogate has a gradient. 1 until :func:`hybridize` has measured the currents.
    """

    scale: Tensor

    def __init__(self, module: TimeAxis) -> None:
        super().__init__(module)
        self.register_buffer("scale", torch.tensor(1.0))

    def forward(self, folded: Tensor, time_steps: int) -> Tensor:
        return super().forward(self.scale * folded, time_steps)

    def resume(self, folded: Tensor, time_steps: int, state: Any = None) -> tuple[Tensor, Any]:
        return super().resume(self.scale * folded, time_steps, state)


def spiking_twin(
    module: nn.Module, *, neuron: NeuronFactory = tau_two, weights: Weights = "copy", name: str = ""
) -> SpikingTwin:
    """The same layers on trains, with a neuron of its own wherever ``module`` calls an activation.

    An activation is a module, a function or a method such as ``x.relu()``, and ``x * sigmoid(x)`` as well. A sigmoid
    that only scales other numbers is a gate and stays, so that numbers and not spikes leave the product. Softmax stays,
    and so do recurrent layers. Where there is no activation at all, one neuron comes after the module. After the last
    neuron numbers are analog, as they are after the last activation of the module.

    Time is folded into the batch, so every layer runs on all steps at once: a BatchNorm in training mode sees T * batch
    samples, dropout draws afresh for every step. Copied statistics of a BatchNorm are those of analog numbers, and
    copied weights expect such: without ``hybridize(..., batches=...)`` the neurons may be silent.

    Args:
        module: one tensor in, one tensor out, batch first. It is not touched.
        neuron: makes a neuron; it is called once for every call of an activation.
        weights: "copy", or "fresh" as each layer's own ``reset_parameters`` draws them. Either is trained, also where
            the given ones are frozen.
        name: what errors call the module.

    Raises:
        TypeError: what ``neuron`` makes is no neuron.
        ValueError: a module that cannot be traced, that has spikes already, whose batch is not the first axis, or,
            with "fresh", whose weights nobody knows how to draw.

    >>> import torch
    >>> twin = spiking_twin(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)))
    >>> [child for child, _ in twin.body.named_children()], twin(torch.ones(8, 3, 6)).shape
    (['0', '1', '2'], torch.Size([8, 3, 4]))
    """
    if weights not in ("copy", "fresh"):
        raise ValueError(f"hybridize expects weights to be 'copy' or 'fresh'; got {weights!r}.")
    _check_module(module, shown(module, name))
    copied = copy.deepcopy(module)
    for part in copied.modules():
        _drop_hooks(part)
    if weights == "fresh":
        _draw_weights(copied, shown(module, name))
    for parameter in copied.parameters():
        parameter.grad = None
        parameter.requires_grad_(parameter.is_floating_point())
    known = set(copied.modules())
    twin = SpikingTwin(_woven(trace(copied, name=name), neuron))
    if neuron is tau_two and not any(parameter.ndim for parameter in twin.parameters()):
        raise ValueError(
            f"Cannot make the spiking twin of {shown(module, name)}: it has no weights, and planes of 0 and 1 never "
            f"bring the default neuron to its threshold by themselves. Choose the module around it, or pass a neuron "
            f"that they do, such as neuron=lambda: LIF(threshold=0.5)."
        )
    for part in twin.modules():
        if part not in known:
            part.training = module.training
    return twin


def made_by(neuron: NeuronFactory) -> Neuron[Any]:
    """A new neuron.

    Raises:  TypeError: a neuron in the place of what makes neurons; something else that was made.
    """
    if isinstance(neuron, nn.Module) or not callable(neuron):
        raise TypeError(
            f"hybridize expects neuron to make neurons, one for each activation, such as lambda: LIF(decay=0.5); got "
            f"{type(neuron).__name__}."
        )
    made = neuron()
    if not isinstance(made, Neuron):
        raise TypeError(f"hybridize expects neuron to make neurons, such as lambda: LIF(); it made {made!r}.")
    return made


def _woven(traced: Traced, neuron: NeuronFactory) -> fx.GraphModule:
    """Neurons enter the graph, and T with them."""
    graph, calls = traced.graph, Counter[str]()
    with graph.inserting_after(next(node for node in graph.nodes if node.op == "placeholder")):
        time_steps = graph.placeholder("time_steps")
    for activation in activations_in(graph, traced.modules) or [_appended(traced)]:
        node = activation.result
        name = str(node.target) if node.op == "call_module" else node.name
        calls[name] += 1
        # The only call of a module gives its name to the neuron.
        if node.op != "call_module" or calls[name] > 1:
            name = traced.free_name(name if calls[name] == 1 else f"{name}_{calls[name]}")
        traced.modules[name] = Driven(made_by(neuron))
        with graph.inserting_before(node):
            node.replace_all_uses_with(graph.call_module(name, (activation.operand, time_steps)))
        for replaced in activation.calls:
            graph.erase_node(replaced)
    for node in [node for node in graph.nodes if node.op == "get_attr" and not node.users]:
        graph.erase_node(node)  # what only an activation has read
    graph.lint()
    used = {str(node.target) for node in graph.nodes if node.op in ("call_module", "get_attr")}
    root = {name: part for name, part in {**traced.modules, **traced.tensors}.items() if name in used}
    return fx.GraphModule(root, graph, class_name="SpikingBody")


def _appended(traced: Traced) -> Activation:
    """An activation after all else, for a module that has none."""
    output = next(iter(reversed(traced.graph.nodes)))
    last = output.args[0]
    with traced.graph.inserting_before(output):
        node = traced.graph.create_node("call_function", torch.relu, (last,), name=traced.free_name("neuron"))
    output.replace_input_with(last, node)
    return Activation(last, (node,))


def _check_module(module: nn.Module, whole: str) -> None:
    if type(module).forward is nn.Module.forward:
        raise ValueError(f"Cannot make the spiking twin of {whole}: it has no forward. Choose the modules in it.")
    for name, part in module.named_modules():
        if isinstance(part, HybridBlock | TimeAxis):
            raise ValueError(
                f"Cannot make the spiking twin of {whole}: it has spikes already, of {_known(part, name)} which is "
                f"told T. Choose modules of the analog network."
            )
        if getattr(part, "batch_first", True) is False:
            raise ValueError(
                f"Cannot make the spiking twin of {whole}: {_known(part, name)} has batch_first=False, and time is "
                f"folded into the first axis. Build it with batch_first=True."
            )
        if isinstance(part, nn.RNNBase | nn.MultiheadAttention) and part is module:
            raise ValueError(
                f"Cannot make the spiking twin of {whole}: a {type(part).__name__} gives more than one tensor, or "
                f"takes more. Choose a module around it that takes a tensor and gives one, or the layers beside it."
            )


def _known(part: nn.Module, name: str) -> str:
    return f"{shown(part, name)}, at {location(part)},"


def _drop_hooks(part: nn.Module) -> None:
    """Hooks watch the module that they were put on; those with which PyTorch computes weights stay."""
    for kept in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks):
        for key, hook in list(kept.items()):
            owner = getattr(hook, "__module__", None) or type(hook).__module__
            if not owner.startswith("torch.nn.utils"):
                del kept[key]


def _draw_weights(module: nn.Module, whole: str) -> None:
    for name, part in module.named_modules():
        if isinstance(part, ACTIVATION_TYPES):
            continue
        draw = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
        if draw is not None:
            draw()
        elif any(True for _ in part.parameters(recurse=False)):
            raise ValueError(
                f"Cannot draw fresh weights for {whole}: {shown(part, name)}, at {location(part)}, has weights "
                f"of its own and no reset_parameters. Write one, or pass weights='copy'."
            )
