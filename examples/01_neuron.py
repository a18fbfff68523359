"""A neuron is a pure step; `run` drives it, and state is yours to keep or to drop."""

import torch

from spikebridge import LIF, GroupNeuron, run

currents = torch.full((6, 1), 0.4)  # [time, batch]

print("LIF spikes        ", LIF(decay=0.75)(currents).flatten().tolist())
print("Group Neuron sends", GroupNeuron(threshold=1.0, members=4)(currents).flatten().tolist())

# A neuron forgets everything between two calls. To go on where you stopped, pass the state.
neuron = LIF(decay=0.75)
first, state = run(neuron, currents[:3])
second, state = run(neuron, currents[3:], state)
assert torch.equal(torch.cat([first, second]), neuron(currents))
print("in two pieces     ", torch.cat([first, second]).flatten().tolist())
