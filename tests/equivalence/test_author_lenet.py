"""The published LeNet, written down once more in plain tensors: the same logits and the same gradients.

What the released code does, from its description: per layer and step u = a v + b c, a spike where u - 1 > 0, v = u - o,
through which the gradient flows; norms called once per step; pools behind spikes; (1 / T) sum_t s_t (W o_t + bias).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import (
    LIF,
    AdaptiveLIF,
    Direct,
    Hybrid,
    HybridStem,
    Latency,
    OverTime,
    SpikingNetwork,
    StepNorm,
    StepReadout,
)
from spikebridge.adaptive import adapt
from spikebridge.models import lenet_cifar

T, BATCH, CLASSES = 7, 3, 100
MOMENTUM, EPS = 0.1, 1e-5
ROUNDING = 1e-9
"""In float64, of some ten thousand additions in another order."""

AVERAGED = 1e-6
"""Of running averages, in which the shares of steps are powers in float32."""

# --- the reference -------------------------------------------------------------------------------------------


class Fire(torch.autograd.Function):
    """1 above zero; backward 4 sigma(4 x) (1 - sigma(4 x))."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        sigma = 1 / (1 + torch.exp(-4 * x))
        return gradients[0] * 4 * sigma * (1 - sigma)


class Norm(NamedTuple):
    gamma: Tensor
    beta: Tensor
    mean: Tensor
    var: Tensor

    def __call__(self, x: Tensor, *, training: bool) -> Tensor:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        mean, var = self.mean, self.var
        if training:
            mean, var = x.mean(axes), x.var(axes, unbiased=False)
            count = x.numel() / x.shape[1]
            with torch.no_grad():
                self.mean.copy_((1 - MOMENTUM) * self.mean + MOMENTUM * mean)
                self.var.copy_((1 - MOMENTUM) * self.var + MOMENTUM * var * count / (count - 1))
        shape = [1, -1, *[1] * (x.ndim - 2)]
        normal = (x - mean.reshape(shape)) / torch.sqrt(var.reshape(shape) + EPS)
        return normal * self.gamma.reshape(shape) + self.beta.reshape(shape)


def time_frames(images: Tensor) -> list[Tensor]:
    """Descending thresholds on what has not fired; at the last step the threshold is 0, and all fire."""
    rest, frames = images, []
    for t in range(T):
        frame = (rest >= 1 - (t + 1) / T).to(images.dtype) if t < T - 1 else torch.ones_like(images)
        rest = rest * (1 - frame)
        frames.append(frame)
    return frames


def mixed_frames(images: Tensor) -> list[Tensor]:
    """The image itself, then T - 1 frames of thresholds (T - 1) / T to 1 / T."""
    rest, frames = images, [images]
    for t in range(1, T):
        frame = (rest >= 1 - t / T).to(images.dtype)
        rest = rest * (1 - frame)
        frames.append(frame)
    return frames


class Reference:
    """Copies of a network's tensors, and the loop over steps.

    Args:
        network: whose tensors; its layers are known by their names in the body.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        body = network.body
        stem = body.get_submodule("stem")
        self.has_two_stems = isinstance(stem, HybridStem)
        firsts = [stem.first, stem.rest] if isinstance(stem, HybridStem) else [stem]
        later = [body.get_submodule(name) for name in ("layer2", "layer3", "hidden")]
        self.tensors: dict[str, Tensor] = {}
        self.originals: dict[str, Tensor] = {}
        self.norms: list[Norm] = []
        self.stems = [self._layer(part, f"stem {index}") for index, part in enumerate(firsts)]
        self.layers = [self._layer(part, f"layer {index + 1}") for index, part in enumerate(later)]
        neurons = [body.get_submodule(f"activation{index}") for index in range(1, 5)]
        self.a = [self._leaf(neuron.leak, f"a {index}") for index, neuron in enumerate(neurons)]
        self.b = [self._leaf(neuron.gain, f"b {index}") for index, neuron in enumerate(neurons)]
        readout = body.get_submodule("readout")
        self.s = self._leaf(readout.scale, "s")
        self.out = self._leaf(readout.layer.weight, "out"), self._leaf(readout.layer.bias, "out bias")

    def logits(self, frames: list[Tensor], *, training: bool) -> Tensor:
        membranes: list[Tensor | float] = [0.0] * 4
        answer = torch.zeros(BATCH, CLASSES, dtype=torch.float64)
        self.fired = [0.0] * 4
        for t, frame in enumerate(frames):
            weight, bias, norm = self.stems[0 if t == 0 or not self.has_two_stems else 1]
            x = norm(F.conv2d(frame, weight, bias, padding=1), training=training)
            for index in range(4):
                u = self.a[index][t] * membranes[index] + self.b[index][t] * x
                spikes = Fire.apply(u - 1)
                membranes[index] = u - spikes
                self.fired[index] += spikes.sum().item()
                if index == 3:
                    break
                weight, bias, norm = self.layers[index]
                pooled = F.max_pool2d(spikes, 2)
                x = (
                    F.conv2d(pooled, weight, bias, padding=1)
                    if index < 2
                    else F.linear(pooled.flatten(1), weight, bias)
                )
                x = norm(x, training=training)
            answer = answer + self.s[t] * F.linear(spikes, *self.out)
        return answer / T

    def _layer(self, part: nn.Module, name: str) -> tuple[Tensor, Tensor, Norm]:
        held = list(part.modules())
        linear = next(module for module in held if isinstance(module, nn.Conv2d | nn.Linear))
        norm = next(module for module in held if isinstance(module, StepNorm | nn.BatchNorm1d | nn.BatchNorm2d))
        own = Norm(
            self._leaf(norm.weight, f"{name} gamma"),
            self._leaf(norm.bias, f"{name} beta"),
            norm.running_mean.clone(),
            norm.running_var.clone(),
        )
        self.norms.append(own)
        return self._leaf(linear.weight, f"{name} weight"), self._leaf(linear.bias, f"{name} bias"), own

    def _leaf(self, tensor: Tensor, name: str) -> Tensor:
        assert tensor.dtype == torch.float64
        self.tensors[name] = tensor.detach().clone().requires_grad_()
        self.originals[name] = tensor
        return self.tensors[name]


# --- ours ----------------------------------------------------------------------------------------------------


class NormOfEachStep(nn.Module):
    """A BatchNorm called once for each of the steps that are folded into the batch."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, folded: Tensor) -> Tensor:
        return torch.cat([self.norm(step) for step in folded.split(BATCH)])


def with_reference_norms(network: SpikingNetwork) -> SpikingNetwork:
    """Norms that are called once per step, as published, in the place of norms over all steps."""
    for name, layers in list(network.body.named_children()):
        if isinstance(layers, HybridStem):
            layers.rest[-1] = NormOfEachStep(layers.rest[-1])
        elif isinstance(layers, OverTime):
            *before, norm = layers
            per_step = StepNorm(norm.num_features, time_steps=T, mode="reference").double()
            per_step.load_state_dict({key: held for key, held in norm.state_dict().items() if "num" not in key})
            setattr(network.body, name, nn.Sequential(OverTime(*before), per_step))
    return network


def ours(code: str) -> SpikingNetwork:
    """An adapted LeNet with settings that are no longer those of its start."""
    host = lenet_cifar(activation=partial(LIF, decay=0.5, decay_input=True))
    network = SpikingNetwork(host, encoder=Direct(time_steps=T)).double()
    encoders = {"time": Latency(time_steps=T, last_frame="reference"), "mixed": Hybrid(time_steps=T)}
    adapted = adapt(network, T, encoder=encoders[code])
    with torch.no_grad():
        for module in adapted.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.05, 0.5)
            elif isinstance(module, AdaptiveLIF):
                module.leak.uniform_(-0.2, 1.2)
                module.gain.uniform_(0.5, 2.0)
            elif isinstance(module, StepReadout):
                module.scale.uniform_(-0.5, 2.0)
            elif isinstance(module, HybridStem):
                module.first[0].weight.add_(0.1 * torch.randn_like(module.first[0].weight))
    return with_reference_norms(adapted)


FRAMES: dict[str, Callable[[Tensor], list[Tensor]]] = {"time": time_frames, "mixed": mixed_frames}


@pytest.mark.parametrize("code", FRAMES)
def test_logits_gradients_and_statistics_are_those_of_the_published_network(code: str) -> None:
    network = ours(code)
    reference = Reference(network)
    images = torch.rand(BATCH, 3, 32, 32, dtype=torch.float64)
    classes = torch.tensor([3, 50, 99])
    frames = FRAMES[code](images)
    assert torch.equal(network.encoder(images), torch.stack(frames))
    for training in (False, True):
        network.train(training).zero_grad()
        found, expected = network(images), reference.logits(frames, training=training)
        assert min(reference.fired) > 100
        torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)
        F.cross_entropy(found, classes).backward()
        gradients = torch.autograd.grad(F.cross_entropy(expected, classes), list(reference.tensors.values()))
        for (name, own), gradient in zip(reference.originals.items(), gradients, strict=True):
            torch.testing.assert_close(
                own.grad, gradient, rtol=1e-7, atol=ROUNDING, msg=lambda text, n=name: f"{n}: {text}"
            )
            if not name.endswith(" bias"):  # which a norm takes away
                assert gradient.abs().max() > 1e-3, name
    for index in range(4):
        assert reference.originals[f"a {index}"].grad[0] == 0  # it multiplies a membrane that is still zero
    for (mean, var), norm in zip(_averages(network), reference.norms, strict=True):
        torch.testing.assert_close(mean, norm.mean, rtol=0, atol=AVERAGED)
        torch.testing.assert_close(var, norm.var, rtol=AVERAGED, atol=AVERAGED)
    found, expected = network.eval()(images), reference.logits(frames, training=False)
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)


def _averages(network: SpikingNetwork) -> list[tuple[Tensor, Tensor]]:
    held = [module for module in network.body.modules() if hasattr(module, "running_mean")]
    return [(norm.running_mean, norm.running_var) for norm in held]


@pytest.mark.parametrize("code", FRAMES)
def test_the_reference_tells_other_networks_apart(code: str) -> None:
    network = ours(code).eval()
    reference, images = Reference(network), torch.rand(BATCH, 3, 32, 32, dtype=torch.float64)
    expected = reference.logits(FRAMES[code](images), training=False)
    for name, tensor in (
        ("a 2", reference.originals["a 2"]),
        ("b 0", reference.originals["b 0"]),
        ("s", reference.originals["s"]),
    ):
        with torch.no_grad():
            tensor[3] += 0.5
        assert not torch.allclose(network(images), expected, atol=1e-6), name
        with torch.no_grad():
            tensor[3] -= 0.5


def test_the_adapted_network_has_the_published_parameters() -> None:
    parameters = dict(
        adapt(
            SpikingNetwork(lenet_cifar(activation=LIF), encoder=Direct(time_steps=T)), T, encoder=Hybrid(time_steps=T)
        ).named_parameters()
    )
    sizes = {name: parameter.numel() for name, parameter in parameters.items()}
    assert sum(sizes.values()) == 332_403
    assert sum(size for name, size in sizes.items() if name.endswith(("leak", "gain", "scale"))) == 63
