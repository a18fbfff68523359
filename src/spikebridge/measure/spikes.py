"""Which neuron spiked when: counts, not outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..core.encoder import Encoder
from ..core.neuron import Neuron
from ..core.shapes import SpikeTrain, along_channels


@contextmanager
def record_spikes(network: nn.Module, *, keep: Callable[[SpikeTrain], Any] | None = None) -> Iterator[dict[str, Any]]:
    """Collect the spike counts of every neuron called inside the block, by the neuron's name in the network.

    A count is a whole number of spikes in one step: 0 or 1 for IF and LIF, up to ``members`` for a Group Neuron,
    negative where a signed one takes spikes back. Further calls of the same neuron are named ``name#2``, ``name#3``.
    The network is left as it was.

    Args:
        network: any with a neuron in it.
        keep: makes of the counts of one call what is to be collected, such as a mean; None collects the counts
            themselves, all of them at once: several times what a forward alone needs.

    Shapes:  each train is [time, batch, *unit].
    Raises:  ValueError: the network has no neuron.

    >>> import torch
    >>> from spikebridge import GroupNeuron
    >>> with record_spikes(nn.Sequential(GroupNeuron(members=4))) as trains:
    ...     _ = nn.Sequential(GroupNeuron(members=4))(torch.ones(2, 1))
    >>> trains
    {}
    >>> network = nn.Sequential(GroupNeuron(members=4))
    >>> with record_spikes(network) as trains:
    ...     _ = network(torch.ones(2, 1))
    >>> trains["0"].flatten().tolist()
    [4.0, 4.0]
    """
    trains: dict[str, Any] = {}
    neurons = neurons_of(network)
    if not neurons:
        raise ValueError(f"record_spikes found no neuron in {type(network).__name__}; pass a spiking network.")

    def remember(name: str) -> Any:
        def hook(neuron: Neuron[Any], _: Any, output: SpikeTrain) -> None:
            calls = sum(known == name or known.startswith(f"{name}#") for known in trains)
            counts = spike_counts(neuron, output)
            trains[name if calls == 0 else f"{name}#{calls + 1}"] = counts if keep is None else keep(counts)

        return hook

    handles = [neuron.register_forward_hook(remember(name)) for name, neuron in neurons.items()]
    try:
        yield trains
    finally:
        for handle in handles:
            handle.remove()


def neurons_of(network: nn.Module) -> dict[str, Neuron[Any]]:
    """Every neuron by the name it was told, or by its place where it was told none or one that others have too."""
    neurons = {name: module for name, module in network.named_modules() if isinstance(module, Neuron)}
    told = Counter(neuron.label for neuron in neurons.values())
    return {neuron.label if neuron.label and told[neuron.label] == 1 else n: neuron for n, neuron in neurons.items()}


def spike_counts(neuron: Neuron[Any], output: SpikeTrain) -> SpikeTrain:
    """The whole number of spikes behind each entry of a neuron's output."""
    value = neuron.spike_value
    if isinstance(value, float) and value == 1.0:
        return output.detach().round()
    unit = along_channels(value, output[0]) if isinstance(value, Tensor) else value
    return (output / unit).round().detach()


def code_spikes(encoder: Encoder, train: SpikeTrain) -> SpikeTrain | None:
    """The spikes of a code: NaN at the steps that it sends numbers at, None if those are all.

    A code with a ``spike_value`` sends counts, which are spikes where all are whole and numbers where some are not.
    """
    value = getattr(encoder, "spike_value", None)
    if value is not None:
        counts = train.detach() / value
        return counts.round() if torch.allclose(counts, counts.round()) else None
    steps = getattr(encoder, "is_spiking", (encoder.is_binary,) * encoder.time_steps)
    if not any(steps):
        return None
    is_spiking = torch.tensor(steps, device=train.device).reshape(-1, *[1] * (train.ndim - 1))
    return torch.where(is_spiking, (train != 0).to(train.dtype), torch.nan)
