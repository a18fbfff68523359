"""Checkpoints that hold numbers and nothing that runs: tensors in safetensors, the rest as JSON beside them.

A checkpoint is one ``.safetensors`` file. Its tensors have the names of their places in the checkpoint; everything
else stands as JSON in the file's metadata, with a checksum over both. Reading one can execute nothing, unlike a pickle.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..core.files import whole

_WEIGHTS = "state_dict"
_CHECKSUM = "sha256"


class SafetensorsIO(CheckpointIO):
    """How Lightning writes and reads its checkpoints here: whole or not at all, and without pickle."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside the target and move into place: a killed process leaves the earlier file as it was."""
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a nested dict of tensors, numbers, strings and lists.

    Raises:  TypeError: something in it is none of these. OSError: the disk is full or the folder closed.
    """
    tensors: dict[str, Tensor] = {}
    structure = _take_apart(checkpoint, "", tensors)
    # One entry of metadata: safetensors writes several in any order, and the same checkpoint shall be the same bytes.
    text = json.dumps({**structure, _CHECKSUM: _checksum(structure, tensors)})
    with whole(path) as partial:
        try:
            save_file(tensors, partial, metadata={"structure": text})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`write_checkpoint` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, in its numbers too, cut short, or not a checkpoint of this library.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            structure = json.loads((file.metadata() or {})["structure"])
        _require_unchanged(structure, tensors)
        checkpoint: dict[str, Any] = _put_together(structure, tensors)
    except (SafetensorError, KeyError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged, cut short or no checkpoint of this library ({error}). Use another file; training "
            f"writes last.safetensors after every epoch and best.safetensors beside it."
        ) from error
    return checkpoint


def load_weights(network: nn.Module, path: Path) -> nn.Module:
    """Put a checkpoint's weights into a network of the same architecture; the network is returned, in eval mode.

    Raises:
        ValueError: a damaged file, or weights that do not fit the network; the message names the first that differ.
    """
    network.load_state_dict(fitting_weights(network, path))
    return network.eval()


def fitting_weights(network: nn.Module, path: Path) -> dict[str, Tensor]:
    """A checkpoint's weights for a network of the same architecture.

    Raises:  ValueError: see :func:`load_weights`.
    """
    return weights_of(read_checkpoint(path), network, path=path)


def weights_of(checkpoint: dict[str, Any], network: nn.Module, *, path: Path) -> dict[str, Tensor]:
    """The weights in what was read from ``path``, if they fit the network.

    Raises:  ValueError: see :func:`load_weights`.
    """
    weights = checkpoint.get(_WEIGHTS)
    if not isinstance(weights, dict):
        raise ValueError(f"{path} holds no weights. Pass best.safetensors or last.safetensors of a run.")
    # An objective with buffers stores them beside the network's.
    own: dict[str, Tensor] = {
        name.removeprefix("model."): value for name, value in weights.items() if name.startswith("model.")
    }
    misfits = _misfits(own, network.state_dict())
    if misfits:
        more = f" and {len(misfits) - 3} more" if len(misfits) > 3 else ""
        raise ValueError(
            f"The checkpoint {path} is of another architecture than {type(network).__name__}: "
            f"{'; '.join(misfits[:3])}{more}. Build the network with the settings in the run's config.yaml."
        )
    return own


def _misfits(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    missing = [f"'{name}' is missing" for name in wanted if name not in found]
    extra = [f"'{name}' is unknown" for name in found if name not in wanted]
    shapes = [
        f"'{name}' has shape {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name].shape != tensor.shape
    ]
    return [*shapes, *missing, *extra]


def _take_apart(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """The value as JSON, its tensors moved to ``tensors`` under the names of their places."""
    if isinstance(value, Tensor):
        tensors[place] = value.detach().cpu().contiguous().clone()
        return {"tensor": place}
    if isinstance(value, dict):
        items = [[key, _take_apart(entry, f"{place}/{key}", tensors)] for key, entry in value.items()]
        return {"dict": items}
    if isinstance(value, tuple | list):
        parts = [_take_apart(entry, f"{place}/{index}", tensors) for index, entry in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": parts}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"A checkpoint holds tensors, numbers, strings and collections of them; got {value!r} at {place}.")


def _put_together(structure: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(structure, dict):
        return structure
    ((kind, content),) = structure.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _put_together(entry, tensors) for key, entry in content}
    if kind not in ("tuple", "list"):
        raise ValueError(f"unknown kind {kind!r}")
    parts = [_put_together(entry, tensors) for entry in content]
    return tuple(parts) if kind == "tuple" else parts


def _checksum(structure: Any, tensors: dict[str, Tensor]) -> str:
    """Over the structure, and over the name, kind, shape and bytes of every tensor."""
    found = hashlib.sha256(json.dumps(structure).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        found.update(tensor.flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _require_unchanged(structure: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Files of before there were checksums have none."""
    expected = structure.pop(_CHECKSUM, None)
    if expected is not None and expected != _checksum(structure, tensors):
        raise ValueError("its checksum does not fit its content")
