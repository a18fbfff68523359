"""All data sets by name, derived from what this file imports: an import line is all that a new one needs."""

from __future__ import annotations

from ..core.catalogue import nearest
from .cifar10 import CIFAR10 as CIFAR10
from .collection import Collection, by_name
from .digits import DIGITS as DIGITS
from .fashion_mnist import FASHION_MNIST as FASHION_MNIST
from .mnist import MNIST as MNIST
from .n_mnist import N_MNIST as N_MNIST
from .ucr import UCR as UCR

COLLECTIONS = by_name(globals())


def find(name: str, *, of_family: bool = False) -> Collection:
    """The collection of this name.

    Args:
        name: in full.
        of_family: whether the name of a family stands for any of its members, which share their files.

    Raises:  ValueError: there is none; the message names the nearest.
    """
    if name in COLLECTIONS:
        return COLLECTIONS[name]
    members = [one for one in COLLECTIONS.values() if one.family == name]
    if members and of_family:
        return members[0]
    if members:
        raise ValueError(f"{name} is a family of {len(members)} sets; load one of them, such as {members[0].name}.")
    families = {one.family for one in COLLECTIONS.values()}
    guess = nearest(name, {*COLLECTIONS, *families}, is_brief=True)
    raise ValueError(" ".join(filter(None, [f"There is no data set {name!r}.", guess, _known(families)])))


def _known(families: set[str]) -> str:
    return f"Known: {', '.join(sorted(families))}; see `spikebridge data list`."
