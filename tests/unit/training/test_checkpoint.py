"""Checkpoints: whole or not at all, nothing that runs, and never of another network unnoticed."""

from __future__ import annotations

import json
import pickle
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spikebridge import QCFS
from spikebridge.models import cnn
from spikebridge.training import load_weights
from spikebridge.training.checkpoint import SafetensorsIO, read_checkpoint, write_checkpoint


def training_state() -> dict[str, Any]:
    """A network and an optimiser after a step: nested, with integers as keys, tuples, None and zero-size tensors."""
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.rand(4, 3)).sum().backward()
    optimiser.step()
    return {
        "state_dict": {f"model.{name}": value for name, value in network.state_dict().items()},
        "optimizer_states": [optimiser.state_dict()],
        "loops": {"epoch": 3, "share": 0.1, "done": False, "nothing": None, "text": "ü", "inf": float("inf")},
        "shared": [network[0].weight, network[0].weight.t(), torch.zeros(0, 3)],
        "callbacks": {"best": {"score": torch.tensor(0.5), "path": ""}},
    }


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected) or isinstance(expected, nn.Parameter | dict)
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
        assert found.dtype == expected.dtype
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


def test_a_training_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = training_state()
    SafetensorsIO().save_checkpoint(state, tmp_path / "deep" / "last.safetensors")
    assert_same(SafetensorsIO().load_checkpoint(tmp_path / "deep" / "last.safetensors"), state)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["last.safetensors"]


def test_a_checkpoint_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    write_checkpoint(training_state(), whole)
    content = whole.read_bytes()
    for length in (0, 1, 8, len(content) // 3, len(content) // 2, len(content) - 1):
        cut.write_bytes(content[:length])
        with pytest.raises(ValueError, match="damaged, cut short or no checkpoint"):
            read_checkpoint(cut)


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    whole, flipped = tmp_path / "whole.safetensors", tmp_path / "flipped.safetensors"
    write_checkpoint(training_state(), whole)
    content = whole.read_bytes()
    padding = content[: 8 + int.from_bytes(content[:8], "little")].rstrip(b" ")
    for place in [*range(8, len(padding), 101), *range(len(content) - 200, len(content), 7)]:
        changed = bytearray(content)
        changed[place] ^= 1
        flipped.write_bytes(changed)
        with pytest.raises(ValueError, match="damaged, cut short or no checkpoint"):
            read_checkpoint(flipped)


def written_by_hand(path: Path, structure: Any) -> Path:
    save_file({"/a": torch.arange(3.0)}, path, metadata={"structure": json.dumps(structure)})
    return path


def test_a_checkpoint_of_before_there_were_checksums_is_read(tmp_path: Path) -> None:
    path = written_by_hand(tmp_path / "old.safetensors", {"dict": [["a", {"tensor": "/a"}], ["b", 2]]})
    assert_same(read_checkpoint(path), {"a": torch.arange(3.0), "b": 2})


def test_a_kind_of_collection_that_nobody_writes_is_refused(tmp_path: Path) -> None:
    path = written_by_hand(tmp_path / "odd.safetensors", {"dict": [["a", {"set": [1]}]]})
    with pytest.raises(ValueError, match=r"odd\.safetensors is damaged.*\(unknown kind 'set'\)"):
        read_checkpoint(path)


def test_a_checkpoint_may_be_read_by_whoever_reads_other_files(tmp_path: Path) -> None:
    write_checkpoint({"epoch": 3}, tmp_path / "last.safetensors")
    (tmp_path / "other").touch()
    assert (tmp_path / "last.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_foreign_files_are_refused_and_nothing_in_them_runs(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / "trap.ckpt").write_bytes(pickle.dumps(Trap()))
    torch.save({"state_dict": {}, "trap": Trap()}, tmp_path / "trap.pt")
    for name in ("trap.ckpt", "trap.pt"):
        with pytest.raises(ValueError, match="no checkpoint of this library"):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no checkpoint .*none\.safetensors"):
        read_checkpoint(tmp_path / "none.safetensors")


def test_what_is_no_number_string_or_collection_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=re.escape("object")):
        write_checkpoint({"loops": {"x": object()}}, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    code = """
import resource, sys, torch
from pathlib import Path
from spikebridge.training.checkpoint import write_checkpoint
path = Path(sys.argv[1])
write_checkpoint({"state_dict": {"a": torch.zeros(10)}}, path)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    write_checkpoint({"state_dict": {"a": torch.zeros(1_000_000)}}, path)
except OSError as error:
    print("refused:", error)
"""
    assert hasattr(resource, "RLIMIT_FSIZE")
    path = tmp_path / "last.safetensors"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert f"refused: cannot write {path}: " in done.stdout
    assert read_checkpoint(path)["state_dict"]["a"].shape == (10,)
    assert [file.name for file in tmp_path.iterdir()] == ["last.safetensors"]


def test_weights_go_into_the_network_they_came_from(tmp_path: Path) -> None:
    source, target = cnn(), cnn()
    weights = {f"model.{name}": value for name, value in source.state_dict().items()}
    write_checkpoint({"state_dict": weights}, tmp_path / "best.safetensors")
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(load_weights(target, tmp_path / "best.safetensors")(x), source.eval()(x))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: cnn(classes=7), r"'[\d.]+\.weight' has shape \(10, 128\) instead of \(7, 128\)"),
        (lambda: cnn(activation=QCFS), r"'1\.raw_threshold' is missing"),
        (lambda: nn.Linear(3, 2), r"'weight' is missing; 'bias' is missing; '0\.0\.weight' is unknown and \d+ more"),
    ],
    ids=["classes", "activation", "another network"],
)
def test_weights_of_another_architecture_are_refused_by_name(tmp_path: Path, other: Any, message: str) -> None:
    weights = {f"model.{name}": value for name, value in cnn().state_dict().items()}
    write_checkpoint({"state_dict": weights}, tmp_path / "best.safetensors")
    network = other()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_weights(network, tmp_path / "best.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_checkpoint_without_weights_is_refused(tmp_path: Path) -> None:
    write_checkpoint({"epoch": 3}, tmp_path / "best.safetensors")
    with pytest.raises(ValueError, match="holds no weights"):
        load_weights(cnn(), tmp_path / "best.safetensors")
