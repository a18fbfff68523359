"""Claim: `assign` is within 1 point of the best of all choices at equal energy, and ahead of simpler ways to choose.

A perceptron of 8 layers and a CNN of 6, trained here on the digits, three seeds each, and every choice of 4 and 6
options: 65,536 and 46,656 networks. At each budget, for two price lists, all on the same validation set and within the
same energy:

- `assign`, by accuracy and by log-loss;
- `all`: the best of all choices;
- `prefix`: the best of "the first k layers in one code, the rest analog" and the reverse, for all k and codes;
- `random`: the mean of all choices that take 90 to 100 % of the budget, or of the dearest 1 % within it if none does;
- `drawn`: the best of as many random choices as `assign` measured.

What each chose is then tested on other images; ties in accuracy go to the smaller log-loss. Appends one line per
network, prices and budget to results/assign.jsonl; a second run goes on where the first ended.

Measured (results/assign.jsonl), 45 budgets: within 1 point at 43 of them, 1.1 and 1.4 points off at two; mean gap 0.21
(perceptron) and 0.08 (CNN), of the best prefix split 2.65 and 4.44, of a random choice 6.2 and 10.9. On test images the
prefix split is ahead by 0.5 to 0.9 where the budget is loose: see docs/assign.md.

Run: python benchmarks/assign.py [seeds]
"""

from __future__ import annotations

import json
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikebridge import Latency
from spikebridge.data import digits
from spikebridge.data.split import Split
from spikebridge.hybrid import assign, bit_planes
from spikebridge.hybrid.trial import Probe, Trial
from spikebridge.measure import HOROWITZ_45NM, HOROWITZ_45NM_INT8, EnergyCosts, accuracy
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "assign.jsonl"
EPOCHS, DRAWS = 80, 20
PRICES = {
    "45 nm float": (HOROWITZ_45NM, (0.1, 0.12, 0.15, 0.2, 0.3)),
    "45 nm int8": (HOROWITZ_45NM_INT8, (0.25, 0.35, 0.5)),
}
Choice = tuple[int, ...]


class Found(NamedTuple):
    """One choice on the validation set, per sample; prices come later."""

    accumulates: float
    multiplies: float
    accuracy: float
    log_loss: float

    def energy(self, costs: EnergyCosts) -> float:
        return costs.ac_pj * self.accumulates + costs.mac_pj * self.multiplies


def mlp() -> nn.Sequential:
    """Eight layers of 32."""
    hidden = [layer for _ in range(6) for layer in (nn.Linear(32, 32), nn.ReLU())]
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), *hidden, nn.Linear(32, 10))
    for layer in network:
        if isinstance(layer, nn.Linear):  # as deep as this, it does not train from PyTorch's own start
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return network


def cnn() -> nn.Sequential:
    """Four convolutions and two linear layers."""

    def block(inward: int, outward: int) -> list[nn.Module]:
        return [nn.Conv2d(inward, outward, 3, padding=1), nn.BatchNorm2d(outward), nn.ReLU()]

    first, second = [*block(1, 8), *block(8, 8)], [*block(8, 12), *block(12, 12)]
    head = [nn.Flatten(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10)]
    return nn.Sequential(*first, nn.MaxPool2d(2), *second, nn.MaxPool2d(2), *head)


NETWORKS: dict[str, tuple[Callable[[], nn.Sequential], dict[str, Any]]] = {
    "mlp": (mlp, bit_planes(2, 3, 4)),
    "cnn": (cnn, {**bit_planes(1, 2, 3, 5), "latency 8": partial(Latency, time_steps=8)}),
}


def trained(network: nn.Sequential, images: Tensor, labels: Tensor) -> nn.Sequential:
    """The network after a few seconds of Adam."""
    optimiser = torch.optim.Adam(network.parameters(), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=EPOCHS * -(-len(images) // 64))
    for _ in range(EPOCHS):
        for part in torch.randperm(len(images)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(images[part]), labels[part]).backward()
            optimiser.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def every_choice(trial: Trial) -> dict[Choice, Found]:
    """All of them, walked as a tree, so that what comes before a layer is computed once for all its options."""
    ((images, labels),) = trial.batches
    modules, found = list(trial.network.eval()), dict[Choice, Found]()

    def walk(place: int, values: Tensor, choice: Choice, accumulates: float, multiplies: float) -> None:
        while place < len(modules) and not isinstance(modules[place], Probe):
            values, place = modules[place](values), place + 1
        if place == len(modules):
            loss = nn.functional.cross_entropy(values.double(), labels).item()
            found[choice] = Found(accumulates, multiplies, accuracy(values, labels), loss)
            return
        probe = modules[place]
        for option in range(len(trial.options)):
            probe.option, probe.accumulates, probe.multiplies = option, 0.0, 0.0
            after = probe(values)
            more = probe.accumulates / len(labels), probe.multiplies / len(labels)
            walk(place + 1, after, (*choice, option), accumulates + more[0], multiplies + more[1])

    walk(0, images, (), 0.0, 0.0)
    return found


def prefixes(layers: int, options: int) -> set[Choice]:
    """The first k layers in one code and the rest analog, and the reverse."""
    splits = {((code,) * k, (0,) * (layers - k)) for code in range(1, options) for k in range(layers + 1)}
    return {first + rest for first, rest in splits} | {rest + first for first, rest in splits}


class Setting(NamedTuple):
    """One network with all its choices."""

    network: nn.Sequential
    split: Split
    codes: dict[str, Any]
    trial: Trial
    found: dict[Choice, Found]


def outcome(at: Setting, costs: EnergyCosts, budget: float) -> dict[str, Any]:
    """Every way to choose, at one budget."""
    analog = at.trial.analog
    limit = budget * at.found[analog].energy(costs)
    within = [choice for choice, found in at.found.items() if found.energy(costs) <= limit]
    if not within:
        return {"within": 0, "limit_pj": limit}
    assigned = assign(at.network, at.split.validation.tensors, budget, codes=at.codes, costs=costs)
    # What by="log_loss" chooses: the same search, another pick.
    by_loss = min((point for point in assigned.points if point.energy_pj <= limit), key=lambda point: point.log_loss)

    def best(choices: Iterable[Choice], key: Callable[[Found], Any] = _by_accuracy) -> Choice | None:
        return min(choices, key=lambda choice: key(at.found[choice]), default=None)

    draw = random.Random(0)
    some = set(within)
    drawn = draw.choices(list(at.found), k=assigned.measured)
    near = [choice for choice in within if at.found[choice].energy(costs) >= 0.9 * limit]
    near = near or sorted(within, key=lambda choice: at.found[choice].energy(costs))[-max(1, len(within) // 100) :]
    chosen = {
        "assign": _choice(assigned.choices, at.trial),
        "assign by log-loss": _choice(by_loss.choices, at.trial),
        "all": best(within),
        "all by log-loss": best(within, lambda found: found.log_loss),
        "prefix": best(some & prefixes(len(analog), len(at.trial.options))),
        "drawn": best(some & set(drawn)),
    }
    rows = {name: None if choice is None else scores(at, choice, costs) for name, choice in chosen.items()}
    typical = [scores(at, choice, costs) for choice in draw.sample(near, min(DRAWS, len(near)))]
    rows["random"] = {key: statistics.mean(row[key] for row in typical) for key in ("energy_pj", "test")}
    rows["random"]["validation"] = statistics.mean(at.found[choice].accuracy for choice in near)
    return {"within": len(within), "measured": assigned.measured, "limit_pj": limit, **rows}


def _by_accuracy(found: Found) -> tuple[float, float]:
    return -found.accuracy, found.log_loss


def _choice(choices: Mapping[str, str], trial: Trial) -> Choice:
    return tuple(trial.options.index(option) for option in choices.values())


@torch.no_grad()
def scores(at: Setting, choice: Choice, costs: EnergyCosts) -> dict[str, Any]:
    """A choice as it was on validation, and as it is on test images."""
    found, names = at.found[choice], [at.trial.options[option] for option in choice]
    images, labels = at.split.test.tensors
    right = accuracy(at.trial.build(dict(zip(at.trial.names, names, strict=True)))(images), labels)
    numbers = {
        "energy_pj": found.energy(costs),
        "validation": found.accuracy,
        "log_loss": found.log_loss,
        "test": right,
    }
    return {**numbers, "choice": names}


def settled(name: str, seed: int) -> Setting:
    """Train a network and measure every choice."""
    torch.manual_seed(seed)
    build, codes = NETWORKS[name]
    split = digits(seed=seed)
    network = trained(build(), *split.train.tensors)
    layers = [layer for layer, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    trial = Trial(network, layers, [split.validation.tensors], codes, HOROWITZ_45NM)
    return Setting(network, split, codes, trial, every_choice(trial))


def summary(lines: list[dict[str, Any]]) -> None:
    """Gaps to the best of all choices, in points."""
    ways = ("assign", "assign by log-loss", "prefix", "random", "drawn", "all by log-loss", "all")
    for network in NETWORKS:
        rows = [line for line in lines if line["network"] == network and line["within"]]
        print(
            f"{network}: {len(rows)} budgets; mean and worst gap to the best of all on validation; mean test accuracy"
        )
        for way in ways:
            pairs = [(row["all"]["validation"] - row[way]["validation"], row[way]["test"]) for row in rows if row[way]]
            gaps, tests = [100 * gap for gap, _ in pairs], [100 * test for _, test in pairs]
            if pairs:
                mean, worst, test = statistics.mean(gaps), max(gaps), statistics.mean(tests)
                print(f"  {way:20s} n = {len(pairs):2d}  {mean:6.2f}  {worst:6.2f}  {test:6.2f}")


def main() -> None:
    """Both networks, all seeds, prices and budgets that are not in the results yet."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    done = {(line["network"], line["seed"], line["prices"], line["budget"]) for line in lines}
    about = environment()
    for name in NETWORKS:
        for seed in range(seeds):
            keys = [(name, seed, prices, budget) for prices, (_, budgets) in PRICES.items() for budget in budgets]
            left = [key for key in keys if key not in done]
            at = settled(name, seed) if left else None
            for _, _, prices, budget in left:
                assert at is not None
                costs = PRICES[prices][0]
                line = {"network": name, "seed": seed, "prices": prices, "budget": budget, "choices": len(at.found)}
                line |= {
                    "analog": scores(at, at.trial.analog, costs),
                    **outcome(at, costs, budget),
                    "environment": about,
                }
                lines.append(line)
                print({key: line[key] for key in ("network", "seed", "prices", "budget", "within")}, flush=True)
                with RESULTS.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    summary(lines)


if __name__ == "__main__":
    main()
