"""verify: what it refuses, and what it says."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import QCFS, convert, verify
from spikebridge.conversion import Difference, Verdict


class Functional(nn.Module):
    """One activation that is a module, one that is a call."""

    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.inner, self.first, self.outer = nn.Linear(4, 6), first, nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Values to values."""
        return F.relu(self.outer(self.first(self.inner(x))))


def network(*activations: nn.Module) -> nn.Module:
    layers = [nn.Linear(4, 4)]
    for activation in activations:
        layers += [activation, nn.Linear(4, 4)]
    return nn.Sequential(*layers).eval()


VALUES = torch.linspace(-2, 2, 32).reshape(8, 4)
LEVELS = r"verify expects a reference whose activations have levels \(QCFS, or those of conversion.quantised\); got "


def test_a_reference_without_levels_is_refused_by_name() -> None:
    ann = network(nn.ReLU(), nn.ReLU6())
    snn = convert(ann, VALUES).model
    with pytest.raises(ValueError, match=LEVELS + r"'1' \(ReLU\), '3' \(ReLU6\). Compare with conversion.quantised; "):
        verify(snn, ann)
    with pytest.raises(ValueError, match=LEVELS + "none"):
        verify(snn, nn.Linear(4, 4))


def test_a_reference_with_some_levels_is_refused_by_name() -> None:
    ann = network(QCFS(), nn.ReLU())
    with pytest.raises(ValueError, match=LEVELS + r"'3' \(ReLU\) beside them"):
        verify(convert(ann, VALUES), ann)
    ann = Functional(QCFS()).eval()
    with pytest.raises(ValueError, match=LEVELS + "relu beside them"):
        verify(convert(ann, VALUES), ann)


def test_analog_calls_are_refused_at_more_than_one_step() -> None:
    conversion = convert(network(nn.ReLU(), nn.GELU()), VALUES)
    assert verify(conversion, conversion.quantised)
    with pytest.raises(ValueError, match=r"only nonlinear operations are neurons; '3' run on running means.* at T = 1"):
        verify(conversion, conversion.quantised, time_steps=2)


def test_other_things_than_networks_are_refused() -> None:
    ann = network(QCFS())
    snn = convert(ann, VALUES).model
    with pytest.raises(TypeError, match=r"expects a Conversion, or its .model; got Sequential"):
        verify(ann, ann)
    with pytest.raises(TypeError, match=r"expects a reference that is an nn.Module; got Tensor"):
        verify(snn, VALUES)


def test_settings_out_of_place_are_refused() -> None:
    ann = network(QCFS())
    snn = convert(ann, VALUES).model
    with pytest.raises(ValueError, match="takes members for T > 1 only; got members=8 at T = 1"):
        verify(snn, ann, members=8)
    with pytest.raises(ValueError, match="verify expects members >= 1, a whole number; got 0"):
        verify(snn, ann, members=0, time_steps=2)
    with pytest.raises(ValueError, match="verify expects time_steps >= 1; got 0"):
        verify(snn, ann, time_steps=0)
    with pytest.raises(ValueError, match=r"expects inputs of 2 axes, \[batch, \*unit\]; got shape \(4,\)"):
        verify(snn, ann, inputs=VALUES[0])
    with pytest.raises(ValueError, match="verify expects inputs >= 1"):
        verify(snn, ann, inputs=0)
    twin = convert(network(nn.ReLU()), VALUES, members=5).quantised
    snn.time_steps = 2
    with pytest.raises(ValueError, match=r"members of '1': its 5 levels are no multiple of the network's T = 2"):
        verify(snn, twin, time_steps=2)


def test_a_network_that_does_not_know_its_inputs_asks_for_some() -> None:
    ann = network(QCFS())
    snn = convert(ann, VALUES, members=8).model
    snn.unit = None
    with pytest.raises(ValueError, match="does not know the shape of this network's inputs; pass inputs="):
        verify(snn, ann)
    assert verify(snn, ann, inputs=VALUES)


def test_an_activation_alone_is_a_network() -> None:
    ann = QCFS(levels=3).eval()
    assert verify(convert(ann, VALUES, members=3), ann)


@pytest.mark.parametrize("levels", [1, 3, 7, 49, 255])
def test_levels_that_no_float_holds_tie_as_they_should(levels: int) -> None:
    torch.manual_seed(levels)
    ann = network(QCFS(levels=levels, threshold=torch.rand(4) + 0.5)).eval()
    for dtype in (torch.float32, torch.float64):
        own = copy.deepcopy(ann).to(dtype)
        assert verify(convert(own, VALUES.to(dtype), members=levels), own)


def test_a_network_with_other_names_is_matched_by_the_order_of_its_sites() -> None:
    ann = network(QCFS(), QCFS())
    assert verify(convert(ann, VALUES, members=8), nn.Sequential(ann).eval())


def test_verdicts_speak_for_themselves() -> None:
    ann = network(QCFS())
    conversion = convert(ann, VALUES, members=8)
    verdict = verify(conversion, ann)
    assert verdict.equal
    assert str(verdict) == "equal: 32 counts of 1 sites agree on 8 inputs at T = 1"
    with torch.no_grad():
        conversion.model.body.get_submodule("2").bias[1] += 1
    verdict = verify(conversion, ann)
    assert not verdict.equal
    assert (verdict.sites, verdict.counts) == (("1",), 32)
    found = r"<Verdict differ first at '2' \(before 'output'\), output at step 1, element \(0, 1\): expected .*, found "
    with pytest.raises(AssertionError, match=found):
        assert verdict, repr(verdict)
    assert pickle.loads(pickle.dumps(verdict)) == verdict


def test_a_difference_says_only_what_it_knows() -> None:
    difference = Difference("act", "act", "neuron", 0, (), "an activation", "none")
    assert str(difference) == "'act', neuron: expected an activation, found none"
    assert not Verdict(difference, (), 0, 1, 1)
