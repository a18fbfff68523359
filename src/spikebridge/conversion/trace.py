"""From a module to a graph of calls, each with the line of source it came from."""

from __future__ import annotations

import inspect
import operator
import re
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import fx, nn

from .errors import ConversionError
from .rule import Rule

_FOREIGN = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_OUT_OF_PLACE: dict[object, Callable[..., object]] = {
    torch.relu_: torch.relu,
    torch.nn.functional.relu_: torch.nn.functional.relu,
    operator.iadd: operator.add,
}


class _Tracer(fx.Tracer):
    """Stops at modules a rule speaks for, and at every torch.nn module, so that each can be named."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        super().__init__()
        self.rules = rules
        self.record_stack_traces = True

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return any(rule.covers(m) for rule in self.rules) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module, rules: Sequence[Rule]) -> fx.GraphModule:
    """The graph of ``model``'s calls, with in-place operations made ordinary.

    ``model`` is used up: it has to be a copy.

    Raises:
        ConversionError: the model cannot be traced (control flow that depends on values, several inputs, ...).
    """
    model = _with_one_input(model)
    try:
        graph = _Tracer(rules).trace(model)
    except Exception as error:  # a model may raise anything when it is run on proxies
        raise ConversionError(
            f"Cannot trace {type(model).__name__}: {error} (at {_last_own_frame(error)}). The forward must not branch "
            f"on values or iterate over tensors; move such code out of the part that is converted."
        ) from error
    traced = fx.GraphModule(model, graph)
    for node in graph.nodes:
        _make_out_of_place(node, traced)
    traced.recompile()
    return traced


def called(node: fx.Node, owner: nn.Module) -> object:
    """What a node calls: a module, a function, or the name of a method."""
    return owner.get_submodule(str(node.target)) if node.op == "call_module" else node.target


def operation_name(node: fx.Node, owner: nn.Module) -> str:
    """What a node calls, for people: "ReLU", "relu", ".view"."""
    if node.op == "call_module":
        return type(called(node, owner)).__name__
    # max_pool2d and its like are dispatchers whose own name is "fn"; the node is named after the call.
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", str(node.target))
    return f".{name}" if node.op == "call_method" else re.sub(r"_\d+$", "", node.name) if name == "fn" else name


def location(node: fx.Node, owner: nn.Module) -> str:
    """file:line of the call, or of the called module's class where only torch's own containers call it."""
    frames = _FRAME.findall(node.stack_trace or "")
    # Some releases of PyTorch record the callers of convert as well; the network's own frames come after ours.
    start = max((index for index, (file, _) in enumerate(frames, start=1) if file == __file__), default=0)
    for file, line in reversed(frames[start:]):
        if not file.startswith(_FOREIGN):
            return f"{file}:{line}"
    if node.op == "call_module":
        kind = type(called(node, owner))
        try:
            return f"{inspect.getsourcefile(kind)}:{inspect.getsourcelines(kind)[1]}"
        except (TypeError, OSError):  # typed at a prompt, or loaded without its source
            return f"class {kind.__module__}.{kind.__qualname__}"
    return "unknown location"


def host_nodes(graph: fx.Graph) -> set[fx.Node]:
    """The nodes whose result is no tensor: sizes and shapes, and what is computed from them alone."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        asks = (node.op == "call_method" and node.target in ("size", "dim", "numel")) or (
            node.target is getattr and node.args[1] in ("shape", "ndim", "dtype", "device")
        )
        if asks or (node.op.startswith("call") and node.all_input_nodes and found.issuperset(node.all_input_nodes)):
            found.add(node)
    return found


def batchless_nodes(graph: fx.Graph) -> set[fx.Node]:
    """The nodes that do not depend on the input: parameters, and what is computed from them alone."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op not in ("placeholder", "output") and found.issuperset(node.all_input_nodes):
            found.add(node)
    return found


def _last_own_frame(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_FOREIGN)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else "unknown location"


def _with_one_input(model: nn.Module) -> nn.Module:
    """Give ``model`` a forward of its first argument alone; the others keep their defaults, as when it is called."""
    kind = type(model)
    parameters = list(inspect.signature(kind.forward).parameters.values())[1:]
    starred = [p for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    needed = [p.name for p in parameters if p.default is p.empty and p not in starred]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in starred)
    if len(needed) != 1 and not (takes_any and not needed):
        raise ConversionError(
            f"{kind.__name__} takes {len(needed)} inputs ({', '.join(needed)}); convert handles networks of one. "
            f"Wrap it in a module that takes a single tensor."
        )

    def forward(self: nn.Module, values: torch.Tensor) -> object:
        return kind.forward(self, values)

    model.__class__ = type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
    return model


def _make_out_of_place(node: fx.Node, traced: fx.GraphModule) -> None:
    target = called(node, traced)
    if isinstance(target, nn.Module):
        is_inplace = bool(getattr(target, "inplace", False))
        if is_inplace:
            setattr(target, "inplace", False)  # noqa: B010  not every module has one
    elif node.op == "call_method":
        is_inplace = str(target).endswith("_") and not str(target).endswith("__")
        node.target = str(target).rstrip("_") if is_inplace else node.target
    else:
        is_inplace = target in _OUT_OF_PLACE or bool(node.kwargs.get("inplace", False))
        node.target = _OUT_OF_PLACE.get(target, node.target)
        if "inplace" in node.kwargs:
            node.kwargs = {**node.kwargs, "inplace": False}
    if is_inplace:
        _redirect_later_users(node)


def _redirect_later_users(node: fx.Node) -> None:
    """Whoever reads the operand after an in-place operation sees its result."""
    order = {other: i for i, other in enumerate(node.graph.nodes)}
    operand = node.all_input_nodes[0]
    operand.replace_all_uses_with(node, delete_user_cb=lambda user: order[user] > order[node])
