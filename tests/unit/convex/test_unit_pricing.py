"""What searches offer is true: columns of their names, above lambda, and better than what was drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from spikebridge import LIF
from spikebridge.convex import (
    CountAtLeast,
    Feature,
    FirstSpikeBy,
    GradientPricer,
    MembraneAbove,
    SearchPricer,
    Spike,
    Trace,
    UnitPricer,
    Units,
)
from spikebridge.convex.gradient_pricing import RELAXED, _steepest, relaxed
from spikebridge.convex.penalties import find_penalty
from spikebridge.convex.spike_features import Rows
from spikebridge.encoders import Recorded

from .readouts import PENALTIES

SAMPLES, STEPS, INPUTS = 120, 4, 5
PRICERS: dict[str, Callable[..., UnitPricer]] = {"search": SearchPricer, "surrogate gradients": GradientPricer}
FEATURES: list[tuple[Feature, ...]] = [
    (Spike(),),
    (FirstSpikeBy(2),),
    (CountAtLeast(2), Spike(1)),
    (MembraneAbove(0.1),),
]


def units(features: tuple[Feature, ...] = (Spike(),), *, rows: Rows = "samples") -> Units:
    values = (torch.rand(SAMPLES, STEPS, INPUTS, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    return Units(
        values, encoder=Recorded(time_steps=STEPS), neuron=partial(LIF, decay=0.75), features=features, rows=rows
    )


def dual(outputs: int = 3, *, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(SAMPLES, outputs))


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("features", FEATURES, ids=str)
@pytest.mark.parametrize("pricer", PRICERS)
def test_offers_are_the_columns_of_their_names(pricer: str, features: tuple[Feature, ...], penalty: str) -> None:
    family, norm = units(features), find_penalty(penalty)
    offer = PRICERS[pricer](family, pool=40, starts=4, steps=3).price(dual(), norm, above=2.0, most=10)
    assert offer.largest == np.inf and len(offer.names) == offer.columns.shape[1] == 10
    sizes = norm.sizes(offer.columns.T @ dual()).max(axis=1)
    assert (sizes > 2.0).all() and (np.diff(sizes) <= 1e-9).all()
    assert len(np.unique(offer.columns, axis=1).T) == 10
    for column, name in zip(offer.columns.T, offer.names, strict=True):
        made = family.dictionary(np.array([name[:-1]])).take(np.array([name[-1]]))
        assert np.array_equal(made[:, 0], column)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("features", [FEATURES[0], *FEATURES[2:]], ids=str)  # without thresholds that are best already
@pytest.mark.parametrize("pricer", PRICERS)
def test_steps_find_better_units_than_were_drawn(pricer: str, features: tuple[Feature, ...], penalty: str) -> None:
    norm, gains = find_penalty(penalty), []
    for seed in range(4):
        best = [
            PRICERS[pricer](units(features), pool=20, starts=8, steps=steps).price(
                dual(seed=seed), norm, above=0.0, most=1
            )
            for steps in (0, 8)
        ]
        drawn, found = (float(norm.sizes(offer.columns.T @ dual(seed=seed)).max()) for offer in best)
        gains.append(found / drawn)
    assert min(gains) >= 1.0 and np.mean(gains) > 1.05


@pytest.mark.parametrize("pricer", PRICERS)
def test_steps_find_better_units_where_every_step_is_a_row(pricer: str) -> None:
    family, norm = units(rows="steps"), find_penalty("group")
    gains = []
    for seed in range(4):
        wanted = np.random.default_rng(seed).normal(size=(SAMPLES * STEPS, 2))
        sizes = []
        for steps in (0, 8):
            offer = PRICERS[pricer](family, pool=20, starts=8, steps=steps).price(wanted, norm, above=0.0, most=5)
            made = np.hstack([family.dictionary(np.array([name[:-1]])).take(np.array([0])) for name in offer.names])
            assert np.array_equal(made, offer.columns) and len(made) == SAMPLES * STEPS
            sizes.append(float(norm.sizes(offer.columns.T @ wanted).max()))
        gains.append(sizes[1] / sizes[0])
    assert min(gains) >= 1.0 and np.mean(gains) > 1.05


@pytest.mark.parametrize("pricer", PRICERS)
def test_the_same_seed_finds_the_same(pricer: str) -> None:
    first, again, other = (
        [
            made.price(dual(seed=look), find_penalty("l1"), above=0.0, most=3).names
            for made in [PRICERS[pricer](units(), pool=20, starts=4, steps=2, seed=seed)]
            for look in range(3)
        ]
        for seed in (7, 7, 8)
    )
    assert first == again != other


@pytest.mark.parametrize("pricer", PRICERS)
def test_a_look_starts_from_what_was_offered_before(pricer: str) -> None:
    made, norm = PRICERS[pricer](units(), pool=1, starts=1, steps=0), find_penalty("group")
    sizes = [float(norm.sizes(made.price(dual(), norm, above=0.0, most=1).columns.T @ dual()).max()) for _ in range(20)]
    assert (np.diff(sizes) >= -1e-9).all() and sizes[-1] > sizes[0]


@pytest.mark.parametrize("feature", [Spike(1), CountAtLeast(2), FirstSpikeBy(1), MembraneAbove(0.3)], ids=str)
def test_a_relaxation_has_the_value_of_the_feature_and_a_gradient(feature: Feature) -> None:
    assert isinstance(feature, RELAXED)
    train = (torch.rand(STEPS, 50, 3) < 0.4).float().requires_grad_()
    membrane = torch.rand(50, 3, requires_grad=True)
    column = relaxed(feature, Trace(train, membrane))
    assert torch.equal(column, feature(Trace(train, membrane)))
    column.sum().backward()  # type: ignore[no-untyped-call]
    gradient = membrane.grad if isinstance(feature, MembraneAbove) else train.grad
    assert gradient is not None and bool((gradient.abs().sum(-1) > 0).any())


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_steepest_direction_has_penalty_one_and_the_size_as_product(penalty: str) -> None:
    norm, products = find_penalty(penalty), np.random.default_rng(0).normal(size=(20, 4))
    along = _steepest(products, norm)
    assert np.allclose((along * products).sum(axis=1), norm.sizes(products).max(axis=1), rtol=1e-5)
    assert np.allclose([norm.value(row[None]) for row in along], 1.0, rtol=1e-5)
    assert not _steepest(np.zeros((1, 4)), norm).any()


def test_pricers_that_cannot_look_are_refused() -> None:
    class EveryOther(Feature):
        def __call__(self, trace: Trace) -> torch.Tensor:
            return trace.train[::2].sum(0) % 2

    for pricer in PRICERS.values():
        with pytest.raises(ValueError, match="expects pool and starts >= 1; got 0 and 16"):
            pricer(units(), pool=0)
    with pytest.raises(ValueError, match="SearchPricer expects steps >= 0 and copies >= 1"):
        SearchPricer(units(), copies=0)
    with pytest.raises(ValueError, match="GradientPricer expects steps >= 0 and rate > 0"):
        GradientPricer(units(), rate=0.0)
    with pytest.raises(ValueError, match=r"GradientPricer expects features among Spike, .* SearchPricer takes any"):
        GradientPricer(units((EveryOther(),)))
    assert SearchPricer(units((EveryOther(),)), pool=5).price(dual(), find_penalty("l1"), above=1e9, most=3).names == []
