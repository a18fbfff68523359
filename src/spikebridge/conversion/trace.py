"""From a module to a graph of calls, each with the line of source it came from."""

from __future__ import annotations

import inspect
import operator
import traceback
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import fx, nn

from .errors import ConversionError, not_one_tensor
from .nodes import FOREIGN, called
from .recipe import Recipe
from .rule import Rule
from .rules.pooling import MAX_POOL

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


def prepare(model: nn.Module, rules: Sequence[Rule], recipe: Recipe) -> fx.GraphModule:
    """The graph of ``model``'s calls, ready to be planned; ``model`` is used up: it has to be a copy."""
    whole = nn.Sequential(model) if any(rule.covers(model) for rule in rules) else model
    traced = trace(whole, rules)
    if recipe.max_pool == "pre":
        _pool_before_activations(traced, rules)
    return traced


def _pool_before_activations(traced: fx.GraphModule, rules: Sequence[Rule]) -> None:
    """max(f(z)) = f(max(z)) for an f that never falls: swap an activation and the pool that alone reads it."""
    for pool in list(traced.graph.nodes):
        target = called(pool, traced) if pool.op.startswith("call") else None
        if target is None or not MAX_POOL.covers(target) or not isinstance(pool.args[0], fx.Node):
            continue
        activation = pool.args[0]
        rule = next(
            (r for r in rules if activation.op.startswith("call") and r.covers(called(activation, traced))), None
        )
        if rule is None or not rule.is_monotone or set(activation.users) != {pool}:
            continue
        current = activation.all_input_nodes[0]
        pool.replace_all_uses_with(activation)
        pool.replace_input_with(activation, current)
        activation.replace_input_with(current, pool)
        pool.append(activation)
        pool.meta["moved"] = True
    traced.graph.lint()
    traced.recompile()


def trace(model: nn.Module, rules: Sequence[Rule]) -> fx.GraphModule:
    """The graph of ``model``'s calls, with in-place operations made ordinary.

    ``model`` is used up: it has to be a copy.

    Raises:
        ConversionError: the model cannot be traced (control flow that depends on values, several inputs, ...).
    """
    start = _start(type(model))
    model = _with_one_input(model)
    try:
        graph = _Tracer(rules).trace(model)
    except Exception as error:  # a model may raise anything when it is run on proxies
        said = str(error) if isinstance(error, fx.proxy.TraceError) else f"{type(error).__name__}: {error}"
        where = _last_own_frame(error) or start
        raise ConversionError(
            f"Cannot trace {type(model).__name__}: {_innermost(error, model)}{said} (at {where}). "
            f"The forward must not branch on values or shapes (assert included) or iterate over tensors; move such "
            f"code out of what is converted."
        ) from error
    _require_one_tensor(graph, start)
    for node in graph.nodes:
        node.type = None  # an annotation that is text, as __future__ makes them, does not survive pickling
    traced = fx.GraphModule(model, graph)
    _make_out_of_place(traced)
    traced.recompile()
    return traced


def _start(kind: type[nn.Module]) -> str:
    """file:line where a forward begins."""
    code = inspect.unwrap(kind.forward).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"


def _require_one_tensor(graph: fx.Graph, start: str) -> None:
    """Refuse tuples, dicts and the like, whose parts are only known to be results of calls."""
    result = next(node.args[0] for node in graph.nodes if node.op == "output")
    if not isinstance(result, fx.Node):
        raise not_one_tensor(type(result).__name__.removeprefix("immutable_"), f" from the forward at {start}")


def drop_hooks(traced: fx.GraphModule, replaced: Iterable[fx.Node]) -> None:
    """Take the hooks off modules whose calls are replaced, as they will go; if they matter, the trace shows it."""
    for node in replaced:
        module = called(node, traced)
        if isinstance(module, nn.Module):
            module._forward_hooks.clear()
            module._forward_pre_hooks.clear()


def _innermost(error: Exception, model: nn.Module) -> str:
    """The module in whose forward an error arose, unless it is the whole."""
    names = {module: name for name, module in model.named_modules()}
    callers = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    module = next((m for m in reversed(callers) if isinstance(m, nn.Module) and m in names), model)
    return f"in '{names[module]}' ({type(module).__name__}), " if names[module] else ""


def _last_own_frame(error: Exception) -> str | None:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(FOREIGN)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else None


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


def _make_out_of_place(traced: fx.GraphModule) -> None:
    """Replace every in-place call by its ordinary twin, and let later readers of its operand read the result."""
    in_place = [node for node in traced.graph.nodes if _works_in_place(node, called(node, traced))]
    order = {node: i for i, node in enumerate(traced.graph.nodes)}
    for node in in_place:
        target, operand = called(node, traced), node.all_input_nodes[0]
        if isinstance(target, nn.Module):
            setattr(target, "inplace", False)  # noqa: B010  not every module has one
        elif node.op == "call_method":
            node.target = str(target).rstrip("_")
        else:
            node.target = _OUT_OF_PLACE.get(target, node.target)
            node.kwargs = {name: value for name, value in node.kwargs.items() if name != "inplace"}
        operand.replace_all_uses_with(node, delete_user_cb=lambda user, at=order[node]: order[user] > at)


def _works_in_place(node: fx.Node, target: object) -> bool:
    if not node.op.startswith("call"):
        return False
    if isinstance(target, nn.Module):
        return bool(getattr(target, "inplace", False))
    if isinstance(target, str):
        return target.endswith("_") and not target.endswith("__")
    return target in _OUT_OF_PLACE or bool(node.kwargs.get("inplace", False))
