"""Train a spiking network directly: stock layers lifted over time, neurons where ReLU was."""

from functools import partial

import torch
from torch import nn

from spikebridge import LIF, ATan, Direct, OverTime, SpikingNetwork
from spikebridge.data import digits
from spikebridge.measure import accuracy
from spikebridge.training import Batches, Learner, fit

torch.manual_seed(0)
body = nn.Sequential(
    OverTime(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)),
    LIF(surrogate=ATan()),
    OverTime(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16 * 16, 64)),
    LIF(surrogate=ATan()),
    OverTime(nn.Linear(64, 10)),
)
network = SpikingNetwork(body, encoder=Direct(time_steps=4))  # from images to logits, like any network

split = digits(seed=0)
batches = Batches(split.train, split.validation, batch_size=64, seed=0)
fit(Learner(network, optimiser=partial(torch.optim.AdamW, lr=5e-3), warm_up=2), batches, epochs=10)
images, labels = split.test.tensors
with torch.no_grad():
    print(f"test accuracy with T = 4: {100 * accuracy(network(images), labels):.1f} %")
