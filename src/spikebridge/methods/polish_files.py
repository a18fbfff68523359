"""A polished network, read back from the folder of its run."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from ..convex.filling import filled
from .build import network_for, split_for
from .polish import NETWORK
from .settings import read_config


def load_polished(folder: Path) -> nn.Module:
    """The network that ``spikebridge polish`` has written into a run's folder, on the CPU, in eval mode.

    The run's data set must be there: the shape of its samples says how wide the first layer is.

    Shapes:  values [batch, *unit] -> logits [batch, classes].
    Raises:  FileNotFoundError: no run, or one that was not polished. ValueError, DataError: a file of another network,
        or data that are not there.
    """
    trained = read_config(folder / "config.yaml")
    if not (folder / NETWORK).is_file():
        raise FileNotFoundError(f"There is no {folder / NETWORK}. Make it with: spikebridge polish {folder}")
    network, _ = network_for(trained, split_for(trained))
    return filled(network.float(), load_file(folder / NETWORK))
