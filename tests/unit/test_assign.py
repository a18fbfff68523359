"""The choice of codes: against the layer itself, the counter of operations, and every other choice there is."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikebridge import LIF, BinaryLevel, BitPlane, Direct, Latency, Phase, Rate
from spikebridge.hybrid import Assignment, CodedLayer, assign, bit_planes
from spikebridge.hybrid.coded import fan_out, is_shifting
from spikebridge.hybrid.fitted import Seen, fitted_range, made
from spikebridge.hybrid.search import additive_front, improved
from spikebridge.hybrid.trial import Trial
from spikebridge.measure import HOROWITZ_45NM, HOROWITZ_45NM_INT8, EnergyCosts, count_operations

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(5, 7), (5,)),
    "linear on tokens": (lambda: nn.Linear(5, 7, bias=False), (3, 5)),
    "padded": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 5, 4)),
    "padded with itself": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 5, 4)),
    "strided": (lambda: nn.Conv2d(2, 4, 3, stride=2, padding="valid", bias=False), (2, 7, 6)),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2, dilation=2), (4, 6, 6)),
    "one axis": (lambda: nn.Conv1d(2, 3, 3, padding=2), (2, 6)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1), (3, 4, 3)),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3)), (2, 5, 4)),
}
CODES: dict[str, Callable[..., Any]] = {
    "bits": partial(BitPlane, bits=3),
    "latency": partial(Latency, time_steps=5),
    "phase": partial(Phase, time_steps=4),
    "rate": partial(Rate, time_steps=6),
    "learned": partial(BitPlane, bits=3, weights="learned"),
}
ROUNDING = 1e-6
"""Of the weights of steps, which are float32."""


def net(*, width: int = 8, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    hidden = [nn.Linear(6, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(width, 4)).eval()


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    first = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2)]
    return nn.Sequential(*first, nn.Conv2d(4, 6, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(54, 4)).eval()


@torch.no_grad()
def labelled(network: nn.Module, *unit: int, samples: int = 60) -> tuple[Tensor, Tensor]:
    """Values, and what the network itself says of them."""
    values = torch.rand(samples, *unit, generator=torch.Generator().manual_seed(1))
    return values, network(values).argmax(1)


def price(network: nn.Module, values: Tensor, costs: EnergyCosts) -> float:
    prices = {"AC": costs.ac_pj, "MAC": costs.mac_pj}
    return sum(prices[layer.kind] * sum(layer.per_step) for layer in count_operations(network, values))


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_accumulating_weighed_spikes_is_the_layer_of_the_decoded_input(name: str, code: str) -> None:
    torch.manual_seed(0)
    build, unit = LAYERS[name]
    layer = build().double()
    x = 3 * torch.rand(4, *unit, dtype=torch.float64) - 1
    encoder = CODES[code](value_range=(-1.0, 1.5), outside="clip")
    torch.manual_seed(1)
    expected = layer(encoder.decode(encoder(x)))
    torch.manual_seed(1)
    found = CodedLayer(layer, encoder).double()(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("name", LAYERS)
def test_fan_out_adds_up_to_the_connections_of_the_layer(name: str) -> None:
    build, unit = LAYERS[name]
    layer = build()
    (counted,) = count_operations(layer, torch.rand(1, *unit))
    assert fan_out(layer, torch.Size(unit)).sum().item() == counted.connections


@pytest.mark.parametrize(
    ("code", "multiplies"), [("bits", 0), ("phase", 0), ("rate", 0), ("latency", 5 * 7), ("learned", 3 * 7)]
)
def test_only_weights_that_are_no_shifts_multiply(code: str, multiplies: int) -> None:
    encoder = CODES[code](value_range=(-1.0, 1.0))
    assert is_shifting(encoder) == (multiplies == 0)
    layers = count_operations(CodedLayer(nn.Linear(5, 7), encoder), torch.rand(3, 5))
    assert sum(sum(layer.per_step) for layer in layers if layer.kind == "MAC") == multiplies
    spikes = encoder(torch.rand(3, 5))
    assert [layer.kind for layer in layers].count("AC") == 1
    assert spikes.shape[0] == encoder.time_steps


@pytest.mark.parametrize("costs", [HOROWITZ_45NM, HOROWITZ_45NM_INT8], ids=["float", "int8"])
@torch.no_grad()
def test_energies_and_scores_are_those_of_the_network_that_is_built(costs: EnergyCosts) -> None:
    network = convolutional()
    x, y = labelled(network, 1, 6, 6)
    codes = {**bit_planes(1, 3), "latency": partial(Latency, time_steps=4)}
    trial = Trial(network, ["0", "7"], [(x[:40], y[:40]), (x[40:], y[40:])], codes, costs)
    for choice in itertools.product(range(4), repeat=2):
        point = trial.measure(choice)
        built = trial.build(point.choices)
        scores = built(x)
        assert point.energy_pj == pytest.approx(price(built, x, costs), rel=1e-9)
        assert point.accuracy == pytest.approx((scores.argmax(1) == y).double().mean().item())
        assert point.log_loss == pytest.approx(nn.functional.cross_entropy(scores, y).item(), abs=1e-5)
    assert trial.measure((0, 0)).energy_pj == pytest.approx(price(network, x, costs))


def test_a_range_is_fitted_to_values_of_every_unit() -> None:
    seen = Seen("layer", each=2**12)
    seen.add(torch.arange(64.0).expand(1000, 64))
    (kept,) = seen.parts
    counts = kept.long().bincount(minlength=64)
    assert len(kept) == 2**12
    assert counts.min() > 0.8 * counts.max()


def test_a_range_clips_a_few_large_values_for_the_sake_of_all_others() -> None:
    seen = Seen("layer", each=2**12)
    seen.add(torch.cat([torch.linspace(0.0, 1.0, 999), torch.tensor([4.0])]))
    low, high = fitted_range(partial(BitPlane, bits=3), seen, name="3 planes")
    assert (seen.low, seen.high, low) == (0.0, 4.0, 0.0)
    assert 1.0 <= high < 2.0


@pytest.mark.parametrize("value", [0.0, -3.0, 5000.0])
def test_a_constant_has_a_range_that_holds_it(value: float) -> None:
    seen = Seen("layer", each=8)
    seen.add(torch.full((4, 2), value))
    low, high = fitted_range(partial(BitPlane, bits=2), seen, name="2 planes")
    assert low <= value <= high
    encoder = BitPlane(bits=2, value_range=(low, high))
    torch.testing.assert_close(encoder.decode(encoder(seen.parts[0])), seen.parts[0])


def every_choice(network: nn.Module, data: tuple[Tensor, Tensor], codes: dict[str, Any]) -> Trial:
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    trial = Trial(network, names, [data], codes, HOROWITZ_45NM)
    for choice in itertools.product(range(1 + len(codes)), repeat=len(names)):
        trial.measure(choice)
    return trial


@pytest.mark.parametrize("seed", range(2))
def test_the_choice_is_within_a_point_of_the_best_of_all(seed: int) -> None:
    network, codes = net(seed=seed), bit_planes(1, 2, 4)
    data = labelled(network, 6, samples=300)
    points = every_choice(network, data, codes).found.values()
    for budget in (0.12, 0.25):
        found = assign(network, data, budget, codes=codes, by="log_loss")
        within = [point for point in points if point.energy_pj <= found.budget_pj]
        assert found.point.energy_pj <= found.budget_pj
        assert found.point.log_loss <= 1.01 * min(point.log_loss for point in within)
        most = max(point.accuracy for point in within)
        assert assign(network, data, budget, codes=codes).point.accuracy >= most - 0.01


def test_the_front_rises_and_holds_every_point_that_no_other_beats() -> None:
    network = net()
    found = assign(network, labelled(network, 6), 0.5)
    energies, accuracies = [p.energy_pj for p in found.front], [p.accuracy for p in found.front]
    assert len(found.front) > 3
    assert energies == sorted(energies)
    assert all(less < more for less, more in itertools.pairwise(accuracies))
    best = max(accuracy for energy, accuracy in zip(energies, accuracies, strict=True) if energy <= found.budget_pj)
    assert found.point.accuracy == best
    values, labels = labelled(network, 6)
    with torch.no_grad():
        right = (found.build(found.front[-1])(values).argmax(1) == labels).double().mean().item()
    assert right == pytest.approx(found.front[-1].accuracy)


def test_the_same_data_give_the_same_choice_and_nothing_is_left_behind() -> None:
    network = net().train()
    data = labelled(network, 6)
    before, random = {name: t.clone() for name, t in network.state_dict().items()}, torch.get_rng_state()
    codes = {**bit_planes(2), "rate": partial(Rate, time_steps=6)}
    one, other = (assign(network, data, 0.4, codes=codes) for _ in range(2))
    assert (one.point, one.front, one.measured) == (other.point, other.front, other.measured)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert [type(module) for module in network] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert all(module.training for module in (*network.modules(), *one.model.modules()))


def test_batches_count_as_one_set() -> None:
    network = net()
    x, y = labelled(network, 6)
    whole = assign(network, (x, y), 0.4, codes=bit_planes(2, 4))
    parts = assign(
        network, zip(x.split(25), y.split(25), strict=True), budget_pj=whole.budget_pj, codes=bit_planes(2, 4)
    )
    assert parts.choices == whole.choices
    assert parts.point.energy_pj == pytest.approx(whole.point.energy_pj)


def test_gradients_reach_what_is_before_a_coded_layer() -> None:
    network = net()
    model = assign(network, labelled(network, 6), 0.3, codes=bit_planes(4)).model
    assert [type(module) for module in model][::2] == [CodedLayer] * 3
    model(torch.rand(9, 6)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


def test_a_knapsack_of_sums_is_every_choice_that_no_other_beats() -> None:
    draw = torch.Generator().manual_seed(0)
    energies, losses = (torch.rand(4, 5, generator=draw).tolist() for _ in range(2))
    sums = {
        choice: tuple(sum(table[i][k] for i, k in enumerate(choice)) for table in (energies, losses))
        for choice in itertools.product(range(5), repeat=4)
    }
    beaten = {c for c, s in sums.items() if any(o[0] <= s[0] and o[1] <= s[1] and o != s for o in sums.values())}
    found = additive_front(energies, losses, most=1000)
    assert found == sorted(set(sums) - beaten, key=lambda choice: sums[choice])
    few = additive_front(energies, losses, most=4)
    assert len(few) <= 4
    assert (few[0], few[-1]) == (found[0], found[-1])


def test_the_search_leaves_a_choice_that_sums_cannot_judge() -> None:
    # Layers 0 and 1 are only good together, which no sum of single measurements can tell.
    def measure(choice: tuple[int, ...]) -> tuple[float, tuple[float, ...]]:
        return float(sum(choice)), (1.0 - 0.5 * (choice[0] == choice[1] == 2) + 0.1 * choice[2] - 0.01 * choice[0],)

    energies, losses = [[0.0, 1.0, 2.0]] * 3, [[0.0, -0.01, -0.02], [0.0, 0.0, 0.0], [0.0, 0.1, 0.2]]
    found = improved((0, 0, 2), limit_pj=4.0, measure=measure, energies=energies, losses=losses)
    assert found == (2, 2, 0)


class Branches(nn.Module):
    """A layer called twice, one that is never called, one that multiplies in a way of its own, one read by weight."""

    class Squared(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).square()

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.never, self.own, self.head = (
            nn.Linear(6, 6),
            nn.Linear(6, 2),
            self.Squared(6, 6),
            nn.Linear(6, 4),
        )
        self.read, self.alias = nn.Linear(4, 4), self.head

    def forward(self, x: Tensor) -> Tensor:
        x = self.own(self.twice(self.twice(x).relu()).relu())
        return nn.functional.linear(self.alias(x), self.read.weight, self.read.bias)


@torch.no_grad()
def test_layers_are_decided_on_as_the_network_uses_them_and_none_is_left_out_in_silence() -> None:
    torch.manual_seed(0)
    network = Branches().eval()
    x, y = labelled(network, 6)
    found = assign(network, (x, y), 0.9, codes=bit_planes(3), by="log_loss")
    assert set(found.choices) == {"twice", "head"}
    assert set(found.skipped) == {"never", "own", "read"}
    cheapest = found.build(found.front[0])
    assert cheapest.alias is cheapest.head
    assert found.front[0].energy_pj == pytest.approx(price(cheapest, x, HOROWITZ_45NM))
    assert found.front[0].energy_pj < 0.9 * found.analog.energy_pj
    assert "'own' stays analog: it has a forward of its own." in str(found)
    assert "'never' stays analog: it never runs, or the network uses its weights without calling it." in str(found)


def test_what_attention_reads_by_weight_is_not_decided_on() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.head = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.block(x).mean(1))

    torch.manual_seed(0)
    network = Tokens().eval()
    found = assign(network, labelled(network, 5, 8), 1.0, codes=bit_planes(4))
    assert "head" in found.choices
    assert "block.self_attn.out_proj" in found.skipped
    assert found.model(torch.rand(2, 5, 8)).shape == (2, 4)


def test_a_single_layer_is_a_network() -> None:
    layer = nn.Linear(6, 4)
    assert isinstance(assign(layer, labelled(layer, 6), 0.9, codes=bit_planes(4)), Assignment)


WHERE: list[tuple[Any, set[str]]] = [
    ("0", {"0"}),
    (["0", "4"], {"0", "4"}),
    ("[24]", {"2", "4"}),
    (nn.Linear, {"0", "2", "4"}),
    (lambda name, layer: layer.out_features == 4, {"4"}),
]


@pytest.mark.parametrize(("where", "expected"), WHERE)
def test_where_names_layers(where: Any, expected: set[str]) -> None:
    network = net()
    found = assign(network, labelled(network, 6), 1.0, where=where, codes=bit_planes(4))
    assert set(found.choices) == expected
    assert sum(part.energy_pj for part in found.analog.parts) <= found.analog.energy_pj


def test_where_takes_the_name_of_what_is_around_a_layer() -> None:
    network = nn.Sequential(nn.Sequential(nn.Linear(6, 5), nn.ReLU()), nn.Linear(5, 4))
    assert set(assign(network, labelled(network, 6), 1.0, where="0", codes=bit_planes(4)).choices) == {"0.0"}


def test_it_prints_what_was_decided_and_what_else_there_is() -> None:
    network = net()
    found = assign(network, labelled(network, 6), 0.3, codes=bit_planes(2, 4))
    text = str(found)
    assert text.splitlines()[0].split() == ["layer", "receives", "AC", "MAC", "pJ", "analog", "pJ", "log-loss", "alone"]
    for name, option in found.choices.items():
        assert f"{name}      {option}" in text
    assert f"of the analog network's {found.analog.energy_pj:,.0f}" in text
    assert f"{found.measured} choices measured; {len(found.front)} of {len(found.front)} points of the front" in text


def test_the_search_stops_when_enough_is_measured() -> None:
    network = net()
    found = assign(network, labelled(network, 6), 0.4, codes=bit_planes(2, 4), measurements=10)
    assert found.measured == 10
    assert not found.is_settled
    assert "then the search had to stop" in str(found)


class Broken(nn.Module):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.first, self.last, self.what = nn.Linear(6, 6), nn.Linear(6, 4), what

    def forward(self, x: Tensor) -> Any:
        x = self.first(x)
        if self.what == "inside":
            x = (x - 10).log()
        scores = self.last(x)
        return {"inside": scores, "scores": scores / 0.0, "rank": scores[:, 0], "tuple": (scores,)}[self.what]


X, Y = torch.rand(8, 6), torch.arange(8) % 4
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "nothing to decide on": (
        lambda: assign(nn.ReLU(), (X, Y), 0.5),
        ValueError,
        "expects a network with linear layers or convolutions of torch.nn; ReLU has none",
    ),
    "spikes already": (
        lambda: assign(nn.Sequential(nn.Linear(6, 4), LIF()), (X, Y), 0.5),
        ValueError,
        r"expects a network without spikes; '1' \(LIF\) makes or takes trains",
    ),
    "a wrong name": (
        lambda: assign(nn.Sequential(nn.Sequential(nn.Linear(6, 4))), (X, Y), 0.5, where="0.O"),
        ValueError,
        r"assign found no module '0.O' in Sequential. The nearest are '0.0'",
    ),
    "a type that is not there": (
        lambda: assign(net(), (X, Y), 0.5, where=["0", nn.Conv2d]),
        ValueError,
        r"assign found no Conv2d in Sequential. There are Linear \(3\)",
    ),
    "a predicate that is never true": (
        lambda: assign(net(), (X, Y), 0.5, where=lambda name, layer: False),
        ValueError,
        "assign expects where to be true of a module; it is of none of 3 in Sequential",
    ),
    "no layers in what it names": (
        lambda: assign(net(), (X, Y), 0.5, where="1"),
        ValueError,
        "found no layer of weights in '1'. Name layers, or modules around them",
    ),
    "no where": (lambda: assign(net(), (X, Y), 0.5, where=3), TypeError, "expects where to be a name or names"),  # type: ignore[arg-type]
    "no layer left": (
        lambda: assign(nn.Sequential(Branches.Squared(6, 4)), (X, Y), 0.5),
        ValueError,
        "found no layer that can be coded: '0': it has a forward of its own",
    ),
    "no budget": (lambda: assign(net(), (X, Y)), ValueError, "expects one budget"),
    "two budgets": (lambda: assign(net(), (X, Y), 0.5, budget_pj=3.0), ValueError, "expects one budget"),
    "a budget of nothing": (lambda: assign(net(), (X, Y), 0.0), ValueError, r"budget in \(0, 1\].*got 0.0"),
    "a budget of more than all": (
        lambda: assign(net(), (X, Y), 1.5),
        ValueError,
        "got 1.5. For an energy pass budget_pj",
    ),
    "a negative budget": (lambda: assign(net(), (X, Y), budget_pj=-1.0), ValueError, "budget_pj > 0 and finite"),
    "a budget out of reach": (
        lambda: assign(net(), (X, Y), 1e-6),
        ValueError,
        "below the cheapest choice found, [0-9.e+]+ pJ or 0[.][0-9]+ of the analog network's",
    ),
    "another aim": (lambda: assign(net(), (X, Y), 0.5, by="loss"), ValueError, "'accuracy' or 'log_loss'; got 'loss'"),  # type: ignore[arg-type]
    "no data": (lambda: assign(net(), [], 0.5), ValueError, "data with at least one sample; got none"),
    "empty data": (lambda: assign(net(), (X[:0], Y[:0]), 0.5), ValueError, "data with at least one sample; got none"),
    "values alone": (lambda: assign(net(), [X], 0.5), TypeError, r"got Tensor\[8, 6\]"),  # type: ignore[list-item]
    "single samples": (
        lambda: assign(net(), [(X[0], Y[0])], 0.5),
        TypeError,
        r"such as a DataLoader of a labelled set; got Tensor\[6\], Tensor\[\]",
    ),
    "too few classes": (lambda: assign(net(), (X, Y[:5]), 0.5), ValueError, "got 8 samples and 5 classes"),
    "a class without a score": (lambda: assign(net(), (X, Y + 2), 0.5), ValueError, "classes from 0 to 3.*got 2 to 5"),
    "values that are not finite": (
        lambda: assign(net(), (X.log() / 0.0, Y), 0.5),
        ValueError,
        "finite activations; layer '0' receives 48 NaN or infinite values of 48",
    ),
    "activations that are not finite": (
        lambda: assign(Broken("inside"), (X, Y), 0.5),
        ValueError,
        "layer 'last' receives",
    ),
    "scores that are not finite": (lambda: assign(Broken("scores"), (X, Y), 0.5), ValueError, "expects finite scores"),
    "scores of one axis": (
        lambda: assign(Broken("rank"), (X, Y), 0.5),
        ValueError,
        r"scores \[batch=8, classes\]; got \(8,\)",
    ),
    "no scores": (lambda: assign(Broken("tuple"), (X, Y), 0.5), ValueError, "got tuple"),
    "codes without names": (lambda: assign(net(), (X, Y), 0.5, codes=[BitPlane]), TypeError, "codes by name"),  # type: ignore[arg-type]
    "a code that is called analog": (
        lambda: assign(net(), (X, Y), 0.5, codes={"analog": BitPlane}),
        ValueError,
        "of its own",
    ),
    "a code that sends numbers": (
        lambda: assign(net(), (X, Y), 0.5, codes={"graded": partial(BitPlane, graded=True)}),
        ValueError,
        r"'graded' \(BitPlane\) sends numbers",
    ),
    "a code without a range": (
        lambda: assign(net(), (X, Y), 0.5, codes={"direct": Direct}),
        TypeError,
        "take value_range and outside, such as partial",
    ),
    "a code of another range": (
        lambda: assign(net(), (X, Y), 0.5, codes={"own": lambda **_: BitPlane(value_range=(0.0, 9.0))}),
        ValueError,
        r"of the range that they are given; 'own' was given .* and has \(0.0, 9.0\)",
    ),
    "no code": (
        lambda: assign(net(), (X, Y), 0.5, codes={"relu": lambda **_: nn.ReLU()}),
        TypeError,
        "'relu' made ReLU",
    ),
    "classes that are no whole numbers": (
        lambda: assign(net(), (X, Y.float()), 0.5),
        TypeError,
        r"classes as whole numbers; got torch.float32. Pass labels.long\(\)",
    ),
    "too few measurements": (
        lambda: assign(net(), (X, Y), 0.5, codes=bit_planes(2, 4), measurements=6),
        ValueError,
        "at least 7 measurements.*got 6",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_decided_on_is_refused_with_advice(what: str) -> None:
    call, kind, text = REFUSED[what]
    with pytest.raises(kind, match=text):
        call()


def test_codes_that_step_weights_do_not_decode_are_refused() -> None:
    with pytest.raises(ValueError, match=r"codes that weights of the steps decode; 'b' \(BinaryLevel\) has a rule of"):
        made(partial(BinaryLevel, bits=3), (0.0, 1.0), name="b")
