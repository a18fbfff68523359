"""A reconstruction's settings, read from YAML files and flags."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError

from .parsing import SectionedParser, SettingsFile
from .reconstruct_config import ReconstructConfig


def reconstruct_parser(*, exit_on_error: bool = True) -> SectionedParser:
    """What reads a :class:`ReconstructConfig`: typed, and unknown keys are refused."""
    parser = SectionedParser(exit_on_error=exit_on_error)
    parser.add_argument("--config", action=SettingsFile, help="YAML file of settings; flags after it win")
    parser.add_class_arguments(ReconstructConfig)
    parser.sections = frozenset(
        entry.name for entry in fields(ReconstructConfig) if is_dataclass(entry.default_factory)
    )
    return parser


def read_reconstruction(path: Path) -> ReconstructConfig:
    """The settings in a YAML file.

    Raises:  FileNotFoundError: no such file. ValueError: what the file holds is not the settings of a reconstruction.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}. Pass the config.yaml of a reconstruction.")
    parser = reconstruct_parser(exit_on_error=False)
    try:
        return to_reconstruction(parser, parser.parse_args(["--config", str(path)]))
    except ArgumentError as error:
        raise ValueError(f"{path} is not the configuration of a reconstruction: {error}") from error


def to_reconstruction(parser: SectionedParser, parsed: Any) -> ReconstructConfig:
    """The typed settings of what ``parser`` has read."""
    made = getattr(parser, "instantiate", None) or parser.instantiate_classes
    settings = made(parsed.clone()).as_dict()
    return ReconstructConfig(
        **{key: value for key, value in settings.items() if key in ReconstructConfig.__dataclass_fields__}
    )
