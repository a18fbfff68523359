"""Settings as plain values, and as the YAML file that makes the same run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from ..core.files import write_whole
from .config import ConversionConfig, TrainConfig
from .parsing import Parser as Parser
from .parsing import SectionedParser, SettingsFile


def as_plain(config: Any) -> dict[str, Any]:
    """A dataclass of settings as nested dicts of numbers, strings, lists and None."""
    plain: dict[str, Any] = _plain(asdict(config))
    return plain


def write_config(config: Any, path: Path) -> None:
    """Write settings as YAML that the command line reads back with ``--config``."""
    write_whole(path, yaml.safe_dump(as_plain(config), sort_keys=False).encode())


def train_parser(*, exit_on_error: bool = True) -> Parser:
    """What reads a :class:`TrainConfig` from YAML files and flags: typed, and unknown keys are refused."""
    parser = SectionedParser(exit_on_error=exit_on_error)
    parser.add_argument("--config", action=SettingsFile, help="YAML file of settings; flags after it win")
    parser.add_class_arguments(TrainConfig, skip={"conversion"})
    # Not as one optional argument: what is wrong inside it could only be told as wrong for all it may be.
    parser.add_class_arguments(ConversionConfig, "conversion")
    parser.sections = frozenset(entry.name for entry in fields(TrainConfig) if is_dataclass(entry.default_factory))
    return parser


def read_config(path: Path) -> TrainConfig:
    """The settings in a YAML file.

    Raises:  FileNotFoundError: no such file. ValueError: what the file holds is not the settings of a run.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}. Pass the folder of a run, which holds its config.yaml.")
    parser = train_parser(exit_on_error=False)
    try:
        return to_config(parser, parser.parse_args(["--config", str(path)]))
    except ArgumentError as error:
        raise ValueError(f"{path} is not the configuration of a run: {error}") from error


def to_config(parser: ArgumentParser, parsed: Any) -> TrainConfig:
    """The typed settings of what ``parser`` has read."""
    given, made = parsed.clone(), getattr(parser, "instantiate", None) or parser.instantiate_classes
    if given.get("conversion") is None:
        given["conversion.neurons"] = ()
    settings = {key: value for key, value in made(given).as_dict().items() if key in TrainConfig.__dataclass_fields__}
    return TrainConfig(**settings)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value
