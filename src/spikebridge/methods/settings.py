"""Settings as plain values, and as the YAML file that makes the same run again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from ..core.catalogue import nearest
from ..measure.files import write_whole
from .config import TrainConfig


class Parser(ArgumentParser):
    """Refuses what it does not know, in one line that says what was probably meant."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End with the message; jsonargparse would print every option first."""
        text = ". ".join([" ".join(message.split()).rstrip("."), *self._hints(message)])
        if not self.exit_on_error:
            raise ArgumentError(None, text) from ex
        name = self.prog.replace(" [options]", "")
        self.exit(2, f"{name}: {text}\n`{name} --help` lists what it accepts.\n")

    def _hints(self, message: str) -> list[str]:
        if not re.search("not accept|unrecognized|invalid choice", message):
            return []
        known = self._names()
        quoted = [flag or word for flag, word in re.findall(r"--([\w.]+)|'([\w.]+)'", message)]
        return [nearest(word, known, is_brief=True) for word in quoted if word not in known][:1]

    def _names(self) -> set[str]:
        """Every option, of subcommands too, in full and by its last part."""
        names: set[str] = set()
        for action in self._actions:
            names |= {action.dest, action.dest.rpartition(".")[2]}
            for command, parser in action.choices.items() if isinstance(action.choices, dict) else ():
                names |= {command, *(parser._names() if isinstance(parser, Parser) else ())}
        return names


def as_plain(config: Any) -> dict[str, Any]:
    """A dataclass of settings as nested dicts of numbers, strings, lists and None."""
    plain: dict[str, Any] = _plain(asdict(config))
    return plain


def write_config(config: Any, path: Path) -> None:
    """Write settings as YAML that the command line reads back with ``--config``."""
    write_whole(path, yaml.safe_dump(as_plain(config), sort_keys=False).encode())


def train_parser(*, exit_on_error: bool = True) -> Parser:
    """What reads a :class:`TrainConfig` from YAML files and flags: typed, and unknown keys are refused."""
    parser = Parser(exit_on_error=exit_on_error)
    parser.add_argument("--config", action="config", help="YAML file of settings; flags after it win")
    parser.add_class_arguments(TrainConfig)
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
    made = getattr(parser, "instantiate", None) or parser.instantiate_classes
    settings = {key: value for key, value in made(parsed).as_dict().items() if key in TrainConfig.__dataclass_fields__}
    return TrainConfig(**settings)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value
