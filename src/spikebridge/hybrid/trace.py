"""A module's forward as a graph of calls, in which nothing works in place and nothing is frozen in one mode."""

from __future__ import annotations

import inspect
import operator
import os
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from ..core.modes import in_mode
from .activations import ACTIVATION_TYPES, activations_in

_FOREIGN = tuple(f"{folder}{os.sep}" for folder in (Path(torch.__file__).parent, Path(__file__).parents[1]))
_FX = str(Path("fx", "_symbolic_trace.py"))
_OUT_OF_PLACE: dict[object, Callable[..., object]] = {
    getattr(operator, f"i{name}"): getattr(operator, name)
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
}
_HIDES_ACTIVATIONS = (
    *(nn.Transformer, nn.TransformerEncoder, nn.TransformerDecoder),
    *(nn.TransformerEncoderLayer, nn.TransformerDecoderLayer),
)
"""PyTorch's own modules that have activations inside, which a tracer that stops at them would miss."""


@dataclass
class Traced:
    """A graph, and what it calls and reads, by name."""

    graph: fx.Graph
    modules: dict[str, nn.Module]
    tensors: dict[str, Tensor]

    def called(self, node: fx.Node) -> nn.Module | None:
        """The module a node calls; None where it calls none."""
        return self.modules[str(node.target)] if node.op == "call_module" else None

    def free_name(self, name: str) -> str:
        """``name``, or one like it that nothing has."""
        while name in self.modules or name in self.tensors:
            name += "_"
        return name


class ByMode(nn.Module):
    """A setting that differs between training and eval mode, such as dropout's ``training=self.training``."""

    def __init__(self, in_training: Any, in_eval: Any) -> None:
        super().__init__()
        self.in_training, self.in_eval = in_training, in_eval

    def forward(self) -> Any:
        """The setting for the mode the module is in."""
        return self.in_training if self.training else self.in_eval


class _Whole(nn.Module):
    """One input, whatever defaults the module has; and a name, if it is a single layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, values: Tensor) -> object:
        return self.layer(values)


class _Tracer(fx.Tracer):
    def __init__(self, leaves: Collection[nn.Module] = ()) -> None:  # a pickled graph is read back with no argument
        super().__init__()
        self.leaves = leaves
        self.record_stack_traces = True

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if m in self.leaves or isinstance(m, ACTIVATION_TYPES):
            return True
        return not isinstance(m, _HIDES_ACTIVATIONS) and super().is_leaf_module(m, module_qualified_name)


def trace(module: nn.Module, *, name: str) -> Traced:
    """The graph of the calls that ``module`` makes, down to PyTorch's layers and to modules without an activation.

    ``module`` is used up: it has to be a copy.

    Raises:
        ValueError: it cannot be traced, or makes other calls in training than in eval mode.
    """
    whole = _Whole(module)
    try:
        leaves = {part for part in module.modules() if part is not module and _is_without_activation(part)}
        graph = _graph(whole, leaves, training=True)
        other = _graph(whole, leaves, training=False)
    except Exception as error:  # a module may raise anything when it is run on proxies
        raise _refusal(module, name, f"{str(error).rstrip('.')} (at {_own_line(error, module)})") from error
    if not isinstance(next(iter(reversed(graph.nodes))).args[0], fx.Node):
        raise _refusal(module, name, f"it gives no single tensor (at {location(module)})")
    traced = Traced(graph, dict(whole.named_modules()), tensors={})
    _merge_modes(traced, other, module, name)
    _shorten_names(traced, whole)
    _make_out_of_place(traced)
    return traced


def shown(module: nn.Module, name: str) -> str:
    """A module as errors call it."""
    return f"'{name}' ({type(module).__name__})" if name else type(module).__name__


def location(module: nn.Module) -> str:
    """file:line of a module's class."""
    kind = type(module)
    try:
        return f"{inspect.getsourcefile(kind)}:{inspect.getsourcelines(kind)[1]}"
    except (TypeError, OSError):  # typed at a prompt, or loaded without its source
        return f"class {kind.__module__}.{kind.__qualname__}"


def _is_without_activation(module: nn.Module) -> bool:
    if any(isinstance(part, (*ACTIVATION_TYPES, *_HIDES_ACTIVATIONS)) for part in module.modules()):
        return False
    if isinstance(module, nn.Sequential) or type(module).__module__.startswith("torch.nn"):
        return False  # layers keep their names, and PyTorch's own are not traced anyway
    try:
        graph = _graph(module, (), training=False)
    except Exception:  # the trace of the whole tells whose fault it is
        return False
    return not activations_in(graph, dict(module.named_modules()))


def _graph(module: nn.Module, leaves: Collection[nn.Module], *, training: bool) -> fx.Graph:
    with in_mode(module, training=training):
        return _Tracer(leaves).trace(module)


def _refusal(module: nn.Module, name: str, reason: str) -> ValueError:
    return ValueError(
        f"Cannot make the spiking twin of {shown(module, name)}: {reason}. Its forward must take one tensor and give "
        f"one, and may not branch on values or loop over a tensor. Choose a part of it that does not, or move such "
        f"code out of it."
    )


def _own_line(error: Exception, module: nn.Module) -> str:
    """The last line of the module's own code that ran; where there is none, that of its class."""
    frames = traceback.extract_tb(error.__traceback__)
    start = next((i for i, frame in enumerate(frames) if frame.filename.endswith(_FX)), 0)
    own = [frame for frame in frames[start:] if not frame.filename.startswith(_FOREIGN)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else location(module)


def _merge_modes(traced: Traced, other: fx.Graph, module: nn.Module, name: str) -> None:
    """Make settings that the trace took from the mode follow the mode; ``other`` is the graph in eval mode."""
    nodes, others = list(traced.graph.nodes), list(other.nodes)
    if len(nodes) != len(others) or not all(map(_is_same_call, nodes, others)):
        raise _refusal(module, name, f"it makes other calls in training than in eval mode (at {location(module)})")
    for node, counterpart in zip(nodes, others, strict=True):
        settings, form = tree_flatten((node.args, node.kwargs))
        in_eval, _ = tree_flatten((counterpart.args, counterpart.kwargs))
        # A node prints as its name, which is the same in both graphs.
        for place, (mine, its) in enumerate(zip(settings, in_eval, strict=True)):
            if repr(mine) != repr(its):
                target = traced.free_name(f"{node.name}_setting")
                traced.modules[target] = ByMode(mine, its)
                with traced.graph.inserting_before(node):
                    settings[place] = traced.graph.call_module(target)
        node.args, node.kwargs = tree_unflatten(settings, form)


def _is_same_call(node: fx.Node, other: fx.Node) -> bool:
    # A tensor that a forward makes is stored under a new name in every trace.
    is_made = all("_tensor_constant" in str(each.target) and each.op == "get_attr" for each in (node, other))
    return node.op == other.op and (node.target == other.target or is_made)


def _shorten_names(traced: Traced, whole: nn.Module) -> None:
    """Take away what the wrapper has put before every name."""
    traced.modules = {name.removeprefix("layer."): part for name, part in traced.modules.items() if name}
    for node in traced.graph.nodes:
        node.type = None  # an annotation that is text, as __future__ makes them, does not survive pickling
        if node.op not in ("call_module", "get_attr"):
            continue
        name, node.target = str(node.target), str(node.target).removeprefix("layer.")
        if node.op == "get_attr":
            owner, _, attribute = name.rpartition(".")
            traced.tensors[node.target] = getattr(whole.get_submodule(owner), attribute)


def _make_out_of_place(traced: Traced) -> None:
    """Replace every in-place call by its ordinary form, and let later readers of its operand read the result."""
    order = {node: place for place, node in enumerate(traced.graph.nodes)}
    for node in order:
        if not node.op.startswith("call") or not _works_in_place(node, traced.called(node)):
            continue
        operand, module = node.all_input_nodes[0], traced.called(node)
        if module is not None:
            setattr(module, "inplace", False)  # noqa: B010  not every module has one
        elif node.op == "call_method" and hasattr(Tensor, str(node.target).rstrip("_")):
            node.target = str(node.target).rstrip("_")
        elif node.op == "call_function":
            node.target = _OUT_OF_PLACE.get(node.target, node.target)
            node.kwargs = {name: value for name, value in node.kwargs.items() if name != "inplace"}
        operand.replace_all_uses_with(node, delete_user_cb=lambda user, at=order[node]: order[user] > at)


def _works_in_place(node: fx.Node, module: nn.Module | None) -> bool:
    if module is not None:
        return bool(getattr(module, "inplace", False))
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "")
    is_spelt = name.endswith("_") and not name.endswith("__")
    return is_spelt or node.target in _OUT_OF_PLACE or bool(node.kwargs.get("inplace", False))
