"""A reconstructed network, read back from the folder of its run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from ..blocks import SpikingNetwork
from ..convex.filling import filled
from .reconstruct import CONFIG, NETWORK
from .reconstruct_settings import read_reconstruction
from .tasks import task_for
from .units import untrained


def load_reconstructed(folder: Path) -> SpikingNetwork:
    """The network that ``spikebridge reconstruct`` has written: its scores are the readout's, to the last bit.

    How many units each layer kept is in the saved weights. The task's data must be there, as their steps and numbers
    at a step are the network's.

    Shapes:  values [batch, time, units] -> scores [batch, outputs], in the type of the saved readout.
    Raises:  FileNotFoundError: no such folder or network. ValueError, DataError: a file of another network, or data
        that are not there.
    """
    config = read_reconstruction(folder / CONFIG)
    if not (folder / NETWORK).is_file():
        raise FileNotFoundError(f"There is no {folder / NETWORK}. Make it with: spikebridge reconstruct --config FILE")
    task = task_for(config.task, seed=config.seed)
    narrow = replace(config.witnesses, widths=tuple(1 for _ in config.witnesses.widths))
    network = filled(untrained(task, narrow, seed=config.seed), load_file(folder / NETWORK))
    assert isinstance(network, SpikingNetwork)
    return network
