"""Reconstruction from a configuration: what each method finds, is what its network answers."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import nn

from spikebridge.cli import main
from spikebridge.convex.reconstruct import exact_readout
from spikebridge.core.readout import outputs_over_time
from spikebridge.measure import RunRecord
from spikebridge.methods.reconstruct import Found, accuracy, at_length, find, results_of, run
from spikebridge.methods.reconstruct_config import (
    METHODS,
    ReadoutConfig,
    ReconstructConfig,
    SurrogateConfig,
    TaskConfig,
    WitnessConfig,
)
from spikebridge.methods.reconstruct_settings import read_reconstruction
from spikebridge.methods.solving import in_rows, rows_of, solve_heads
from spikebridge.methods.surrogate import Questions
from spikebridge.methods.tasks import Task, task_for
from spikebridge.methods.units import drawn, read_of, untrained

EXAMPLE = Path(__file__).parents[3] / "examples" / "first-last-xor.yaml"

TASKS = {
    "xor": TaskConfig(time_steps=5),
    "sums": TaskConfig(name="addition", base=3, digits=2, samples=45, longer=20),
    "images": TaskConfig(name="digits", time_steps=4, train=120),
}


def config(task: str = "xor", **settings: Any) -> ReconstructConfig:
    quick = {
        "witnesses": WitnessConfig(widths=(40,)),
        "readout": ReadoutConfig(strengths=4, lowest=0.05, tol=1e-2),
        "surrogate": SurrogateConfig(epochs=1, batch_size=16),
    }
    return ReconstructConfig(**{"name": "test", "task": TASKS[task], **quick, **settings})


def found(settings: ReconstructConfig) -> tuple[Found, Task]:
    task = task_for(settings.task, seed=settings.seed)
    return find(settings, task), task


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_every_task(method: str, task: str) -> None:
    settings = config(task, method=method, witnesses=WitnessConfig(widths=(20, 30)))
    result, given = found(settings)
    values, _ = given.split.test[:5]
    steps = given.encoder.time_steps if given.is_per_step else 1
    assert outputs_over_time(result.network, values).shape == (steps, 5, sum(given.heads))
    assert len(result.heads) == (0 if method == "surrogate" else len(given.heads))
    results = results_of(result, given)
    assert set(results["accuracy"]) == {"train", "validation", "test", *given.longer}
    assert bool(given.longer) == (task == "sums")
    assert all(0.0 <= each["all"] <= min(each.values()) + 1e-12 for each in results["accuracy"].values())


@pytest.mark.parametrize("task", TASKS)
def test_the_network_s_accuracy_is_that_of_the_readouts(task: str) -> None:
    settings = config(task)
    result, given = found(settings)
    features = read_of(drawn(given, settings.witnesses, seed=0), given, settings.witnesses)
    dictionary, targets = rows_of(features, given.split.test)
    right = [
        exact_readout(head.chosen.solution).scores(dictionary).argmax(1) == targets[:, place]
        for place, head in enumerate(result.heads)
    ]
    told = accuracy(result.network, given.split.test, given)
    for place, each in enumerate(right):
        assert told[str(place)] == pytest.approx(each.mean())
    assert told["all"] == pytest.approx(np.all(right, axis=0).mean())
    assert result.heads[0].chosen.validation == pytest.approx(
        accuracy(result.network, given.split.validation, given)["0"]
    )


def test_the_chosen_strength_is_the_strongest_of_the_best() -> None:
    settings = config(readout=ReadoutConfig(strengths=6, lowest=0.02))
    result, _ = found(settings)
    head = result.heads[0]
    best = max(point.validation for point in head.path)
    assert head.chosen.strength == max(point.strength for point in head.path if point.validation == best)
    assert [point.share for point in head.path] == sorted((point.share for point in head.path), reverse=True)
    assert len(head.path) == 5
    assert all(point.solution.certificate.relative_gap <= 1e-3 for point in head.path)


@pytest.mark.parametrize("task", ["xor", "images"])
@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_critical_units_fire_as_often_as_they_are_told(task: str, rate: float) -> None:
    witnesses = WitnessConfig(widths=(200, 200), scaling="critical", rate=rate, decay=0.5)
    given = task_for(TASKS[task], seed=0)
    values, _ = given.split.train.tensors
    train = drawn(given, witnesses, seed=1)(given.encoder(values))
    assert train.mean().item() == pytest.approx(rate, rel=0.25)


def test_silent_units_give_a_network_that_answers_with_its_intercept() -> None:
    settings = config(witnesses=WitnessConfig(widths=(3,), decay=0.0, read="last"))
    given = task_for(settings.task, seed=0)
    body = drawn(given, settings.witnesses, seed=0)
    body[0][-1].bias.fill_(-100.0)
    head = solve_heads(read_of(body, given, settings.witnesses), given, settings.readout)[0]
    assert not head.chosen.solution.weights.any()
    assert head.chosen.solution.certificate.relative_gap < 1e-6


def test_a_trained_body_starts_from_a_readout_that_the_solution_is_not_worse_than() -> None:
    """The readout that surrogate training has found is one of those that the convex problem ranges over."""
    settings = config(method="surrogate", surrogate=SurrogateConfig(epochs=20, batch_size=16))
    result, given = found(settings)
    network = result.network
    features = read_of(nn.Sequential(*network.body[:-1]), given, settings.witnesses)
    layer = network.body[-1].layer
    dictionary, targets = rows_of(features, given.split.train)
    scores = torch.from_numpy(dictionary.matvec(layer.weight.detach().double().numpy().T)) + layer.bias.detach()
    loss = nn.functional.cross_entropy(scores, torch.from_numpy(targets[:, 0])).item()
    for point in solve_heads(features, given, settings.readout)[0].path:
        old = loss + point.strength * layer.weight.detach().norm(dim=0).sum().item()
        assert point.solution.objective <= old + 0.02 * abs(old)


def test_fine_tuning_starts_from_the_reconstructed_network() -> None:
    still = SurrogateConfig(epochs=1, batch_size=16, rate=1e-12)
    before, given = found(config())
    after, _ = found(config(fine_tune=True, surrogate=still))
    assert accuracy(after.network, given.split.train, given) == accuracy(before.network, given.split.train, given)
    moved, _ = found(config(fine_tune=True, surrogate=replace(still, rate=0.05)))
    changed = [
        not torch.equal(one, two)
        for one, two in zip(after.network.parameters(), moved.network.parameters(), strict=True)
    ]
    assert all(changed) and len(changed) == 4


def test_questions_are_right_one_by_one_and_together() -> None:
    outputs = torch.tensor([[[1.0, 0.0, 3.0, 1.0, 2.0]], [[0.0, 1.0, 3.0, 1.0, 2.0]]])  # [steps, batch, 2 + 3]
    targets = torch.tensor([[[0, 0], [0, 0]]])  # [batch, steps, questions]
    assert Questions((2, 3)).right(outputs, targets).tolist() == [[True], [False]]
    wanted = nn.functional.cross_entropy
    both = wanted(outputs[:, 0, :2], targets[0, :, 0]) + wanted(outputs[:, 0, 2:], targets[0, :, 1])
    assert Questions((2, 3))(outputs, targets).item() == pytest.approx(both.item())


def test_a_network_that_answers_at_every_step_takes_inputs_of_any_length() -> None:
    result, given = found(config("sums"))
    longer = at_length(result.network, 21)
    values, _ = given.longer["x10"].tensors
    with torch.no_grad():
        answers = longer.train_out(values)
        assert torch.equal(answers[:3], result.network.train_out(values[:, :3]))  # a step never looks ahead
    assert result.network.encoder.time_steps == 3 and answers.shape[0] == 21


def test_rows_of_steps_stand_as_the_features_do() -> None:
    settings = config("sums")
    given = task_for(settings.task, seed=0)
    features = read_of(drawn(given, settings.witnesses, seed=0), given, settings.witnesses)
    values, labels = given.split.train.tensors
    dictionary, targets = rows_of(features, given.split.train)
    assert dictionary.shape[0] == len(targets) == len(values) * given.encoder.time_steps
    assert np.array_equal(targets[: given.encoder.time_steps], labels[0].numpy())
    assert np.array_equal(in_rows(torch.tensor([3, 1])), [[3], [1]])


def test_a_network_to_train_and_drawn_units_read_the_same() -> None:
    settings = config("images", witnesses=WitnessConfig(widths=(30,), read="every"))
    given = task_for(settings.task, seed=0)
    network = untrained(given, settings.witnesses, seed=0)
    assert network.body[-1].layer.in_features == 30 * 4
    assert network.body[-1].features == read_of(nn.Identity(), given, settings.witnesses).features


def test_a_run_leaves_settings_weights_and_a_record(tmp_path: Path) -> None:
    settings = config(output=tmp_path)
    record = run(settings, console=quiet())
    assert {path.name for path in (tmp_path / "test").iterdir()} == {
        "config.yaml",
        "network.safetensors",
        "record.json",
    }
    assert read_reconstruction(tmp_path / "test" / "config.yaml") == settings
    assert RunRecord.load(tmp_path / "test" / "record.json").results == record.results
    result, _ = found(settings)
    saved = load_file(tmp_path / "test" / "network.safetensors")
    assert all(torch.equal(value, saved[name]) for name, value in result.network.state_dict().items())
    assert record.networks[0].accuracies == [record.results["accuracy"]["test"]["all"]]
    assert record.results["units"] == [len(result.heads[0].chosen.solution.support)]
    with pytest.raises(FileExistsError, match=r"holds a run already\. Choose another --name or --output"):
        run(settings, console=quiet())


def test_the_command_line_reads_the_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--task.time-steps", "5", "--witnesses.widths", "[50]", "--readout.strengths", "3"]
    assert main(["reconstruct", "--config", str(EXAMPLE), "--output", str(tmp_path), *words]) == 0
    said = capsys.readouterr().out
    assert "question 0: objective" in said and "of the best on these units" in said
    assert read_reconstruction(tmp_path / "first-last-xor" / "config.yaml").witnesses.widths == (50,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WitnessConfig(widths=()), r"witnesses\.widths expects a width >= 1 for each layer; got \[\]\."),
        (lambda: WitnessConfig(decay=1.0), r"witnesses\.decay expects a number in \[0, 0\.9999\]; got 1\.0\."),
        (lambda: ReadoutConfig(strengths=1), r"readout\.strengths expects a number >= 2; got 1\."),
        (lambda: TaskConfig(train=1), r"task\.train expects a number >= 2; got 1\."),
        (lambda: SurrogateConfig(rate=0.0), r"surrogate\.rate expects a number > 0; got 0\.0\."),
        (lambda: ReconstructConfig(name="a/b"), r"name expects the name of one folder, such as 'xor-8'; got 'a/b'\."),
        (lambda: ReconstructConfig(name="a", method="sg"), r"method expects a name it knows; got 'sg'\."),  # type: ignore[arg-type]
    ],
)
def test_settings_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
