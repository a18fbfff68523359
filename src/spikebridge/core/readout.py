"""What a network answers, step by step."""

from __future__ import annotations

from torch import Tensor, nn

from .shapes import SpikeTrain, Value, at_least_float32


def outputs_over_time(network: nn.Module, values: Value, *, time_steps: int | None = None) -> SpikeTrain:
    """The output of any network at every step: an ordinary network is a network with one step.

    A network with a time axis of its own offers ``train_out``, as ``SpikingNetwork`` and converted networks do.

    Args:
        network: from values to values.
        values: one batch.
        time_steps: T, for a network whose T is a dial; None is the network's own.

    Shapes:  values [batch, *unit] -> [time, batch, *other].

    >>> outputs_over_time(nn.Linear(3, 2), torch.zeros(5, 3)).shape
    torch.Size([1, 5, 2])
    """
    step_by_step = getattr(network, "train_out", None)
    if step_by_step is None:
        output: Tensor = network(values)
        return output[None]
    train: SpikeTrain = step_by_step(values) if time_steps is None else step_by_step(values, time_steps=time_steps)
    return train


def mean_over_time(train: SpikeTrain) -> Value:
    """The mean of all steps, in float32 at least: autocast leaves some layers' outputs narrow and others' wide.

    Shapes:  [time, batch, *unit] -> [batch, *unit].

    >>> mean_over_time(torch.tensor([[1.0], [2.0]], dtype=torch.bfloat16))
    tensor([1.5000])
    """
    return train.to(at_least_float32(train.dtype)).mean(0)


def cumulative_mean(train: SpikeTrain) -> SpikeTrain:
    """What a network that answers with its mean output would have answered after each step.

    Entry t - 1 is the answer at T = t, since a step never depends on later ones: one run gives all.

    Shapes:  [time, batch, *unit] -> [time, batch, *unit], at least float32.

    >>> cumulative_mean(torch.tensor([[1.0], [2.0], [6.0]])).flatten().tolist()
    [1.0, 1.5, 3.0]
    """
    train = train.to(at_least_float32(train.dtype))
    elapsed = train.new_ones(train.shape[0]).cumsum(0).reshape(-1, *[1] * (train.ndim - 1))
    return train.cumsum(0) / elapsed
