"""Questions one can ask of a node in a traced graph."""

from __future__ import annotations

import inspect
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

FOREIGN = tuple(f"{folder}{os.sep}" for folder in (Path(torch.__file__).parent, Path(__file__).parents[1]))
"""Where PyTorch's and this library's own files are; a line in them is nobody's own."""

_TRACER = str(Path(__file__).with_name("trace.py"))
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


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
    own = _own_frame(node)
    if own is not None:
        return own
    if node.op == "call_module":
        kind = type(called(node, owner))
        try:
            return f"{inspect.getsourcefile(kind)}:{inspect.getsourcelines(kind)[1]}"
        except (TypeError, OSError):  # typed at a prompt, or loaded without its source
            return f"class {kind.__module__}.{kind.__qualname__}"
    # Attribute accesses such as ``x.mT`` carry no line of their own; whoever feeds or uses them does.
    nearby = (_own_frame(other) for other in (*node.users, *node.all_input_nodes))
    return next((f"near {frame}" for frame in nearby if frame), "unknown location")


def _own_frame(node: fx.Node) -> str | None:
    """file:line of the network's own code that made the call, if any."""
    frames = _FRAME.findall(node.stack_trace or "")
    # Some releases of PyTorch record the callers of convert as well; the network's own frames come after ours.
    start = max((index for index, (file, _) in enumerate(frames, start=1) if file == _TRACER), default=0)
    return next((f"{file}:{line}" for file, line in reversed(frames[start:]) if not file.startswith(FOREIGN)), None)


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


def call_names(graph: fx.Graph) -> dict[fx.Node, str]:
    """A name for every call: the module's, with #2, #3, ... for its further calls, or the call's own."""
    seen: Counter[str] = Counter()
    names = {}
    for node in graph.nodes:
        if node.op.startswith("call"):
            name = str(node.target) if node.op == "call_module" else node.name
            seen[name] += 1
            names[node] = name if seen[name] == 1 else f"{name}#{seen[name]}"
    return names


def attached(graph: fx.Graph, modules: Mapping[str, nn.Module], source: nn.Module) -> dict[str, Any]:
    """What a new graph calls and reads, by name: modules from a mapping, tensors from the module it was copied from."""
    found: dict[str, Any] = {}
    for node in graph.nodes:
        name = str(node.target)
        if node.op == "call_module":
            found[name] = modules[name]
        elif node.op == "get_attr":
            owner, _, attribute = name.rpartition(".")
            found[name] = getattr(source.get_submodule(owner), attribute)
    return found
