"""Settings from flags and files: what is wrong is told in one message that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spikebridge.cli import main
from spikebridge.methods.config import ConversionConfig, DataConfig, OptimiserConfig, TrainConfig
from spikebridge.methods.parsing import check_settings
from spikebridge.methods.settings import read_config, write_config

SECTIONS = frozenset({"data", "conversion"})
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "expects settings, one 'key: value' a line; got nothing. Pass a YAML file of settings"),
    "a list": (b"- 1\n", "expects settings, one 'key: value' a line; got a list."),
    "a word": (b"hello\n", "expects settings, one 'key: value' a line; got 'hello'."),
    "latin-1": ('name: "t\u00e9l"\n'.encode("latin-1"), "is not text in UTF-8: byte 0xe9."),
    "a picture": (b"\xff\xd8\xff\xe0", "is not text in UTF-8: byte 0xff."),
    "zero bytes": (b"name: x\0\n", "is not YAML: unacceptable character #x0000"),
    "a tab": (b"data:\n\tname: digits\n", "is not YAML: line 2, column 1: found character '\\t'"),
    "an open bracket": (b"a: [\n", "is not YAML: line 2, column 1: expected the node content"),
    "brackets without end": (b"a: " + b"[" * 3000, "is not YAML: maximum recursion depth exceeded"),
    "a key twice": (b"name: x\nseed: 1\nname: y\n", "has 'name' twice, in lines 1 and 3. Keep one of them."),
    "an inner key twice": (b"data:\n  name: x\n  name: y\n", "has 'name' twice, in lines 2 and 3."),
    "itself": (b"a: &a\n  b: *a\n", "has settings that contain themselves."),
    "a number for a section": (b"data: 3\n", "data expects settings of its own, as 'data:' and indented lines"),
    "nothing for a section": (b"data:\n", "got nothing."),
    "a list for a section": (b"conversion: [if]\n", "conversion expects settings of its own"),
}
BAD_CONVERSIONS: dict[str, tuple[str, str]] = {
    "wrong type": ("time_steps: many", "conversion.time_steps expects a whole number; got 'many'."),
    "wrong optional type": ("members: many", "conversion.members expects a whole number or null; got 'many'."),
    "no list": ("neurons: group", "conversion.neurons expects a list, such as [a, b]; got 'group'."),
    "no step": ("time_steps: 0", "conversion.time_steps expects a number >= 1; got 0."),
    "unknown neuron": (
        "neurons: [grop]",
        "conversion.neurons expects a name it knows; got 'grop'. Did you mean 'group'?",
    ),
    "twice": ("neurons: [if, if]", "conversion.neurons expects each neuron once; got if, if. Leave one out."),
    "unknown key": ("neurns: [if]", "Did you mean 'conversion.neurons'?"),
}


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says to bad settings: one message and, where it cannot read them, where help is."""
    try:
        code: Any = main(["train", *words])
    except SystemExit as stopped:
        code = stopped.code
    said = capsys.readouterr().err
    assert code in (1, 2)
    assert len(said.strip().splitlines()) == code
    return said


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_no_settings_is_refused_by_name(case: str, tmp_path: Path) -> None:
    content, message = BAD_FILES[case]
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.yaml") as refused:
        check_settings(tmp_path / "bad.yaml", sections=SECTIONS)
    assert message in str(refused.value)


def test_nodes_that_other_places_point_to_are_no_repetition(tmp_path: Path) -> None:
    steps = "".join(f"k{step}: &k{step} [{', '.join([f'*k{step - 1}'] * 9)}]\n" for step in range(1, 12))
    (tmp_path / "good.yaml").write_text(f"k0: &k0 [1]\n{steps}conversion: null\n")
    check_settings(tmp_path / "good.yaml", sections=SECTIONS)


@pytest.mark.parametrize("case", ["empty", "a list", "a picture", "a tab", "a key twice"])
def test_the_command_ends_in_one_message_on_a_bad_file(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = BAD_FILES[case]
    (tmp_path / "bad.yaml").write_bytes(content)
    assert message in answer(["--config", str(tmp_path / "bad.yaml")], capsys)
    with pytest.raises(ValueError, match=r"bad\.yaml is not the configuration of a run: "):
        read_config(tmp_path / "bad.yaml")


def test_a_file_that_may_not_be_read_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "secret.yaml").write_text("name: x\n")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    said = answer(["--config", str(tmp_path / "secret.yaml")], capsys)
    assert f"Cannot read {tmp_path / 'secret.yaml'}: Permission denied. Allow this user to read it" in said


@pytest.mark.parametrize("is_flag", [False, True], ids=["file", "flag"])
@pytest.mark.parametrize("case", BAD_CONVERSIONS)
def test_what_is_wrong_inside_conversion_is_named(
    case: str, is_flag: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setting, message = BAD_CONVERSIONS[case]
    if is_flag:
        key, value = setting.split(": ")
        words = ["--name", "x", f"--conversion.{key}", value]
    else:
        (tmp_path / "run.yaml").write_text(f"name: x\nconversion:\n  {setting}\n")
        words = ["--config", str(tmp_path / "run.yaml")]
    assert message in answer(words, capsys)


def test_a_word_for_a_section_is_told_how_to_set_it(capsys: pytest.CaptureFixture[str]) -> None:
    said = answer(["--name", "x", "--conversion", "if"], capsys)
    assert "conversion expects settings of its own, such as --conversion.NAME VALUE; got 'if'." in said


def test_what_is_required_is_named_as_the_flag_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert "name" in answer(["--epochs", "3"], capsys)


@pytest.mark.parametrize("conversion", [None, ConversionConfig(neurons=()), ConversionConfig(neurons=("if",))])
def test_a_conversion_that_converts_nothing_is_null_and_comes_back_from_a_file(
    conversion: ConversionConfig | None, tmp_path: Path
) -> None:
    config = TrainConfig(name="x", conversion=conversion)
    assert (config.conversion is None) == (conversion is None or not conversion.neurons)
    write_config(config, tmp_path / "config.yaml")
    assert read_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize("words", [["--conversion", "null"], ["--conversion=null"], ["--conversion.neurons=[]"]])
def test_the_conversion_is_switched_off_by_a_flag_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--name", "x", *words, "--dry-run"]) == 0
    assert "\nconversion: null\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataConfig(padding=-1), r"data\.padding expects a number >= 0; got -1\."),
        (lambda: DataConfig(workers=-1), r"data\.workers expects a number >= 0; got -1\."),
        (lambda: OptimiserConfig(rate=float("inf")), r"optimiser\.rate expects a number > 0; got inf\."),
        (lambda: OptimiserConfig(warm_up=float("nan")), r"optimiser\.warm_up expects a number >= 0; got nan\."),
    ],
)
def test_numbers_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
