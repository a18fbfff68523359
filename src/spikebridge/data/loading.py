"""Loading a data set by name, cut into three parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .catalogue import find
from .collection import Collection
from .errors import DataError, unreadable
from .events import Frames
from .samples import Samples
from .split import Parts, Split, hold_out, three_ways
from .store import default_root, faults


def load(
    name: str | Collection,
    *,
    root: Path | str | None = None,
    seed: int = 0,
    validation: float | None = None,
    time_steps: int | None = None,
) -> Split:
    """A data set that has been fetched, as training, validation and test set.

    Images are float32 in [0, 1], series float32 as recorded, events counts per frame. Nothing is normalised by mean
    and deviation. The official test set stays whole; validation is drawn from the official training set, with equal
    shares of every class. A set without an official test set is cut into 60 / 20 / 20 %.

    Args:
        name: of the set, as in ``listing()``, or a ``Collection`` of your own.
        root: the folder it was fetched into; by default $SPIKEBRIDGE_DATA, else ~/.cache/spikebridge/data.
        seed: of the draw.
        validation: share of the official training set held out, in [0, 1); a tenth by default.
        time_steps: T, frames per recording, for sets of events; 10 by default.

    Shapes:  (value [*unit], label []), label an int64 index into the set's ``classes``.
    Raises:
        ValueError: no set of this name, or an argument that does not fit it.
        DataError: the set is not whole in the folder, or may not be read.

    >>> train, validation, test = load("digits")
    >>> image, label = test[0]
    >>> image.shape, image.dtype, label.dtype
    (torch.Size([1, 8, 8]), torch.float32, torch.int64)
    """
    collection = name if isinstance(name, Collection) else find(name)
    folder = Path(root).expanduser() if root is not None else default_root()
    try:
        parts = _read(collection, folder)
    except PermissionError as error:
        raise unreadable(error, root=str(folder)) from error
    if time_steps is not None:
        parts = Parts(*(_in_steps(part, time_steps, collection.name) for part in parts if part is not None))
    if parts.test is not None:
        return hold_out(parts.train, parts.test, share=0.1 if validation is None else validation, seed=seed)
    if validation is not None:
        raise ValueError(f"{collection.name} is always cut into 60 / 20 / 20 %; got validation={validation}. Omit it.")
    return three_ways(parts.train, seed=seed)


def _read(collection: Collection, root: Path) -> Parts:
    found = faults(collection, root)
    if not found:
        return collection.read(root)
    own = sorted(root.glob(collection.stand_in.pattern)) if collection.stand_in else []
    if collection.stand_in and len(own) == 1:
        return collection.stand_in.read(own[0])
    if own:
        raise DataError(f"{collection.name} expects one file of your own; {root} has {', '.join(map(str, own))}.")
    raise DataError(
        f"{collection.name} is not whole in {root}: {found[0]}{f' and {len(found) - 1} more' if found[1:] else ''}. "
        f"Run `spikebridge data get {collection.family} --root {root}`, or "
        f"spikebridge.data.get({collection.family!r}, root={str(root)!r})."
    )


def _in_steps(samples: Samples, time_steps: int, name: str) -> Samples:
    if not isinstance(samples.read, Frames):
        raise ValueError(f"{name} has no time axis; got time_steps={time_steps}. Omit it and encode the values.")
    return samples.reading(replace(samples.read, time_steps=time_steps))
