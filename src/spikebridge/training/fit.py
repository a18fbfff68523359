"""A plain training loop for networks from images to logits, small enough for the demo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BATCH_SIZE = 64
PEAK_RATE = 5e-3
WEIGHT_DECAY = 1e-2


def fit(
    network: nn.Module,
    data: TensorDataset,
    *,
    epochs: int,
    seed: int,
    on_epoch: Callable[[float], None] = lambda loss: None,
) -> nn.Module:
    """Train with AdamW, cross-entropy and one cycle of the learning rate; return the network in eval mode.

    Only matrices and kernels decay: a decayed bias, BatchNorm scale or threshold would drift for no reason.

    Args:
        network: from images to logits.
        data: (image, label) pairs.
        epochs: passes over the data.
        seed: of the order of the data.
        on_epoch: called after every epoch with the mean loss.
    """
    order = torch.Generator().manual_seed(seed)
    loader = DataLoader(data, batch_size=BATCH_SIZE, shuffle=True, generator=order)
    decaying = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    steady = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decaying}, {"params": steady, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=epochs * len(loader))
    network.train()
    for _ in range(epochs):
        total = 0.0
        for images, labels in loader:
            loss = F.cross_entropy(network(images), labels)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            total += loss.item()
        on_epoch(total / len(loader))
    return network.eval()
