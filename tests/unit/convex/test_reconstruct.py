"""A reconstructed network answers what the solved readout answers, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spikebridge import LIF, Direct, OverTime, SpikingNetwork
from spikebridge.convex import (
    Count,
    CountAtLeast,
    FirstSpikeBy,
    Membrane,
    OnGrid,
    Spike,
    SpikeFeatures,
    every_step,
    gaussian_witness,
    network_of,
    perturbed_witness,
    spike_dictionary,
)
from spikebridge.convex.fit import fit_sparse
from spikebridge.convex.reconstruct import exact_readout, is_layered, pruned, reconstruct, units_read
from spikebridge.encoders import Recorded
from spikebridge.measure import count_operations, measure

STEPS, BATCH, INPUTS = 5, 37, 6
READS: dict[str, dict[str, Any]] = {
    "last": {"features": (Spike(),)},
    "count": {"features": (Count(),)},
    "every": {"features": every_step(STEPS)},
    "mixed": {"features": (CountAtLeast(2), Count(), FirstSpikeBy(1))},
    "steps": {"rows": "steps"},
}


class Solution(NamedTuple):
    weights: np.ndarray
    intercept: np.ndarray


def per_unit() -> LIF:
    return LIF(decay=0.75, threshold=torch.rand(40) + 0.5)


BODIES = {
    "one layer": lambda: gaussian_witness(INPUTS, (40,), scaling="none"),
    "a threshold for each unit": lambda: gaussian_witness(INPUTS, (40,), scaling="none", neuron=per_unit),
    "two layers": lambda: gaussian_witness(INPUTS, (30, 40), scaling=(1.0, 0.5), bias=0.5),
    "branches": lambda: gaussian_witness(INPUTS, (6, 4), branches=10, scaling=(1.0, 0.7)),
    "rounded inputs": lambda: gaussian_witness(
        INPUTS, (30, 40), scaling=(1.0, 0.5), grid=OnGrid(step=2.0**-8, limit=4.0)
    ),
}


def features_of(body: str = "two layers", read: str = "count") -> SpikeFeatures:
    return SpikeFeatures(BODIES[body](), encoder=Recorded(time_steps=STEPS), **READS[read])


def solution(features: SpikeFeatures, outputs: int = 3, *, zero: float = 0.7, seed: int = 0) -> Solution:
    """Weights of which some units have none."""
    generator = np.random.default_rng(seed)
    slots = len(features.features)
    weights = generator.normal(size=(slots, 40, outputs)) * np.exp(generator.normal(size=(1, 40, 1)))
    weights[:, generator.random(40) < zero] = 0.0
    return Solution(weights.reshape(-1, outputs), generator.normal(size=outputs))


def values(batch: int = BATCH, *, body: str = "") -> Tensor:
    return torch.randn(batch, STEPS, INPUTS) if "rounded" in body else (torch.rand(batch, STEPS, INPUTS) < 0.5).float()


def rows_of(scores: Tensor, read: str) -> np.ndarray:
    """[steps, batch, outputs] as the rows of a dictionary."""
    return scores.transpose(0, 1).flatten(0, 1).numpy() if read == "steps" else scores[0].numpy()


def widths_of(network: SpikingNetwork) -> list[int]:
    return [part[-1].out_features for part in list(network.body)[:-1:2]]  # type: ignore[index, union-attr]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("body", BODIES)
def test_scores_are_those_on_the_dictionary_bit_for_bit(body: str, read: str) -> None:
    features = features_of(body, read)
    given, batch = solution(features), values(body=body)
    network, dictionary = reconstruct(features, given), spike_dictionary(features, batch)
    assert dictionary.column_sums().mean() > 0.02 * dictionary.shape[0]
    exact = exact_readout(given, largest=1 if features.is_binary else STEPS)
    with torch.no_grad():
        scores = rows_of(network.train_out(batch), read)
    backwards = np.add.reduce(
        dictionary.take(np.arange(dictionary.shape[1]))[:, ::-1, None] * exact.weights[::-1], axis=1
    )
    assert np.array_equal(scores, exact.scores(dictionary))
    assert np.array_equal(scores, backwards + exact.intercept)
    assert widths_of(network)[-1] == int(given.weights.reshape(-1, 40, 3).any(axis=(0, 2)).sum()) < 40


@pytest.mark.parametrize("body", BODIES)
def test_the_batch_makes_no_difference(body: str) -> None:
    features = features_of(body)
    network, batch = reconstruct(features, solution(features)), values(64, body=body)
    with torch.no_grad():
        whole = network(batch)
        for size in (1, 2, 7, 33):
            assert torch.equal(torch.cat([network(piece) for piece in batch.split(size)]), whole)


def test_units_that_nobody_reads_are_not_there() -> None:
    # In branches of 6 and 4 units: a branch without a unit that is read goes, and of the others the 4 that are not.
    features = features_of("branches")
    given = solution(features)
    given.weights[:] = 0.0
    given.weights[[4, 7, 38]] = 1.0  # two of the second branch, one of the last
    network, whole = reconstruct(features, given), reconstruct(features, given, prune=False)
    assert widths_of(network) == [12, 3]
    assert widths_of(whole) == [60, 40]
    batch = values()
    with torch.no_grad():
        assert torch.equal(network(batch), whole(batch))


def test_spikes_of_what_is_left_are_the_same() -> None:
    body = gaussian_witness(INPUTS, (40,), scaling="none", neuron=per_unit)
    kept = torch.tensor([3, 4, 17, 39])
    train = values().transpose(0, 1)
    assert torch.equal(pruned(body, kept)(train), body(train)[..., kept])


def test_one_unit_stays_where_no_weight_does() -> None:
    features = features_of()
    nothing = Solution(np.zeros((40, 2)), np.array([0.25, -1.0]))
    network = reconstruct(features, nothing)
    assert widths_of(network) == [30, 1]
    with torch.no_grad():
        assert network(values(2)).tolist() == [[0.25, -1.0]] * 2


def test_it_survives_being_saved(tmp_path: Path) -> None:
    features = features_of()
    given, batch = solution(features), values()
    network = reconstruct(features, given)
    save_file(network.state_dict(), tmp_path / "network.safetensors")
    other_body = gaussian_witness(INPUTS, (30, 40), scaling=(1.0, 0.5), bias=0.5, seed=1)
    other = reconstruct(SpikeFeatures(other_body, encoder=features.encoder, features=(Count(),)), given)
    with torch.no_grad():
        wanted = network(batch)
        assert not torch.equal(other(batch), wanted)
        other.load_state_dict(load_file(tmp_path / "network.safetensors"))
        assert torch.equal(other(batch), wanted)


def test_what_fit_sparse_finds_is_what_the_network_answers() -> None:
    features = features_of("branches", "last")
    batch = values(200)
    dictionary, labels = spike_dictionary(features, batch), batch[:, :, 0].sum(1).long().clamp(1, 4).sub(1)
    found = fit_sparse(dictionary, labels.numpy(), loss="softmax", penalty="group", strength=0.03, intercept=True)
    network = reconstruct(features, found)
    assert 0 < widths_of(network)[-1] == len(found.support) < 40
    with torch.no_grad():
        scores = network(batch).numpy()
    assert np.allclose(scores, dictionary.matvec(found.weights) + found.intercept, rtol=0, atol=1e-12)
    loss = nn.functional.cross_entropy(torch.from_numpy(scores), labels).item()
    objective = loss + 0.03 * float(np.linalg.norm(found.weights, axis=1).sum())
    assert abs(objective - found.objective) < 1e-12


@pytest.mark.parametrize("largest", [1, 8, 1000])
def test_an_exact_readout_is_exact_and_near(largest: int) -> None:
    generator = np.random.default_rng(0)
    given = Solution(generator.normal(size=(200, 3)), generator.normal(size=3))
    exact = exact_readout(given, largest=largest)
    features = generator.integers(0, largest, size=(50, 200), endpoint=True).astype(float)
    for order in (np.arange(200)[::-1], generator.permutation(200)):
        one_by_one = np.add.accumulate(features[:, order, None] * exact.weights[order], axis=1)[:, -1]
        assert np.array_equal(one_by_one + exact.intercept, exact.scores(features))
    scale = largest * np.abs(given.weights).sum() + np.abs(given.intercept).sum()
    assert np.abs(exact.weights - given.weights).max() <= scale * 2.0**-50
    assert not np.array_equal(exact.weights, given.weights)


def test_zero_weights_stay_zero() -> None:
    given = solution(features_of())
    assert np.array_equal(exact_readout(given).weights == 0.0, given.weights == 0.0)


def test_answers_to_several_questions_stand_in_a_row() -> None:
    features, batch = features_of(read="steps"), values()
    digit, carry = solution(features, 3, seed=1), solution(features, 2, seed=2)
    with torch.no_grad():
        scores = reconstruct(features, [digit, carry]).train_out(batch)
        for place, given in ((slice(0, 3), digit), (slice(3, 5), carry)):
            alone = reconstruct(features, given).train_out(batch)
            assert torch.allclose(scores[..., place], alone, rtol=0, atol=1e-12)
    read = np.union1d(units_read(digit), units_read(carry))
    assert np.array_equal(units_read([digit, carry]), read)


def test_it_is_measured_and_counted_as_any_network() -> None:
    encoder = Recorded(time_steps=STEPS, counts="binary")
    features = SpikeFeatures(BODIES["two layers"](), encoder=encoder, features=(Spike(),))
    network, batch = reconstruct(features, solution(features)), values()
    assert [layer.kind for layer in count_operations(network, batch, values_are_spikes=True)] == ["AC", "AC", "AC"]
    with torch.no_grad():
        answers = network(batch).argmax(1)
    result = measure(network, [(batch, answers)], name="reconstructed", kind="snn")
    assert result.accuracies == [1.0]
    assert result.neurons == sum(widths_of(network))
    assert len(result.rates) == 2


def test_values_without_steps_take_a_code() -> None:
    body = gaussian_witness(INPUTS, (40,), grid=OnGrid(step=2.0**-8, limit=4.0))
    features = SpikeFeatures(body, encoder=Direct(time_steps=STEPS), features=(Count(),))
    given, batch = solution(features), torch.randn(BATCH, INPUTS)
    wanted = exact_readout(given, largest=STEPS).scores(spike_dictionary(features, batch))
    with torch.no_grad():
        assert np.array_equal(reconstruct(features, given)(batch).numpy(), wanted)


def test_a_trained_network_gives_witnesses() -> None:
    trained = nn.Sequential(OverTime(nn.Linear(INPUTS, 30)), LIF(), OverTime(nn.Linear(30, 40)), LIF())
    body = perturbed_witness(trained, copies=1, spread=0.0)
    features = SpikeFeatures(body, encoder=Recorded(time_steps=STEPS), features=(Count(),))
    given, batch = solution(features), values()
    wanted = exact_readout(given, largest=STEPS).scores(spike_dictionary(features, batch))
    with torch.no_grad():
        assert np.array_equal(reconstruct(features, given)(batch).numpy(), wanted)


def test_witnesses_of_another_kind_stay_whole() -> None:
    body = nn.Sequential(OverTime(nn.Linear(INPUTS, 40), nn.BatchNorm1d(40)), LIF()).eval()
    assert not is_layered(body)
    features = SpikeFeatures(body, encoder=Recorded(time_steps=STEPS), features=(Count(),))
    network = reconstruct(features, solution(features))
    assert network.body[0][0].out_features == 40  # type: ignore[index, union-attr]
    with pytest.raises(ValueError, match=r"Expected OverTime\(nn.Linear\(...\)\) and neurons in turn"):
        pruned(body, torch.tensor([0]))


def test_the_features_are_left_as_they_were() -> None:
    features = features_of("branches")
    before = {name: value.clone() for name, value in features.state_dict().items()}
    reconstruct(features, solution(features))
    assert all(torch.equal(value, before[name]) for name, value in features.state_dict().items())


def test_what_cannot_be_rebuilt_is_refused() -> None:
    body, given = network_of([(torch.ones(1, 40, INPUTS), torch.zeros(1, 40))], neuron=LIF), solution(features_of())
    with pytest.raises(ValueError, match="reconstruct expects features with an encoder, which declares T; got none"):
        reconstruct(SpikeFeatures(body), given)
    seen = SpikeFeatures(body, encoder=Recorded(time_steps=STEPS), features=(Membrane(),))
    with pytest.raises(ValueError, match=r"reconstruct expects features of spikes, .*; got \[Membrane\(\)\]"):
        reconstruct(seen, given)
    every = SpikeFeatures(body, encoder=Recorded(time_steps=STEPS), features=every_step(STEPS))
    with pytest.raises(ValueError, match=r"weights for 200 inputs, 5 feature\(s\) of 40 units; got 40\. Pass the"):
        reconstruct(every, given)
