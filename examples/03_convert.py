"""Convert a trained network of your own: any module that torch.fx can trace."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import convert
from spikebridge.data import digits
from spikebridge.measure import accuracy
from spikebridge.training import Batches, Learner, fit


class Net(nn.Module):
    """A residual network as one writes it without thinking of spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.head = nn.Linear(16 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        x = F.relu(self.stem(x))
        x = F.relu(x + self.block(x))
        return self.head(F.max_pool2d(x, 2).flatten(1))


torch.manual_seed(0)
split = digits(seed=0)
learner = Learner(Net(), optimiser=partial(torch.optim.AdamW, lr=5e-3), warm_up=2)
ann = fit(learner, Batches(split.train, split.validation, batch_size=64, seed=0), epochs=10).network
conversion = convert(ann, split.train.tensors[0], neuron="group", members=16)
print(conversion.report)

images, labels = split.test.tensors
with torch.no_grad():
    print(f"\nANN            {100 * accuracy(ann(images), labels):.1f} %")
    for t, readout in enumerate(conversion.model.readouts(images, time_steps=4), start=1):
        print(f"SNN, T = {t}     {100 * accuracy(readout, labels):.1f} %")
