"""Reading settings from flags and YAML files: whatever is wrong ends in one message that names it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

import yaml
from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser  # type: ignore[attr-defined]

from ..core.catalogue import nearest
from ..core.process import rank

_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", Path: "a path"}
_TYPED = re.compile(r'Parser key "(?P<key>[\w.]+)":.*?(?:Got value|Given value): (?P<value>.*)$', re.DOTALL)


class Parser(ArgumentParser):
    """Refuses what it does not know, in one line that says what was probably meant."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End with the message; jsonargparse would print every option first."""
        text = " ".join(filter(None, [_sentence(self._reworded(message)), self._hint(message)]))
        if not self.exit_on_error:
            raise ArgumentError(None, text) from ex
        name = self.prog.replace(" [options]", "")
        said = f"{name}: {text}\n`{name} --help` lists what it accepts.\n"
        self.exit(2, None if rank() else said)  # all processes of a run read the same words

    def _reworded(self, message: str) -> str:
        """What has the wrong type: got and expected, in a user's words."""
        if section := re.match(r"Parser key \"([\w.]+)\":\s+Unable to load config '?\"?(.*?)'?\"?\s", message):
            return f"{section[1]} expects settings of its own, such as --{section[1]}.NAME VALUE; got {section[2]!r}"
        found = _TYPED.match(message)
        kind = self._kinds().get(found["key"]) if found else None
        if found is None or kind is None:
            return re.sub(r"(?<=required: )\w+\.(\w+)", r"--\1", message)
        return f"{found['key']} expects {_described(kind)}; got {found['value'].strip()!r}"

    def _hint(self, message: str) -> str:
        if "Did you mean" in message or not re.search("not accept|unrecognized|invalid choice", message, re.IGNORECASE):
            return ""
        known = self._names()
        quoted = [flag or word for flag, word in re.findall(r"--([\w.]+)|'([\w.]+)'", message)]
        return next((nearest(word, known, is_brief=True) for word in quoted if word not in known), "")

    def _names(self) -> set[str]:
        """Every option, of subcommands too, in full and by its last part."""
        names: set[str] = set()
        for action in self._actions:
            names |= {action.dest, action.dest.rpartition(".")[2]}
            for command, parser in action.choices.items() if isinstance(action.choices, dict) else ():
                names |= {command, *(parser._names() if isinstance(parser, Parser) else ())}
        return names

    def _kinds(self) -> dict[str, Any]:
        return {action.dest: getattr(action, "_typehint", None) for action in self._actions}


def _sentence(message: str) -> str:
    text = " ".join(message.split())
    return text if text.endswith(("?", ".")) else f"{text}."


def _described(kind: Any) -> str:
    """A type in a user's words.

    >>> _described(int | None), _described(Literal["adamw", "sgd"]), _described(tuple[str, ...])
    ('a whole number or null', "one of 'adamw', 'sgd'", 'a list, such as [a, b]')
    """
    origin = get_origin(kind) or kind
    if origin in (Union, UnionType):
        return " or ".join("null" if each is NoneType else _described(each) for each in get_args(kind))
    if origin is Literal:
        choices = ", ".join(map(repr, get_args(kind)))
        return choices if len(get_args(kind)) == 1 else f"one of {choices}"
    if origin in (tuple, list):
        return "a list, such as [a, b]"
    return _KINDS.get(kind, str(kind))


class SettingsFile(ActionConfigFile):
    """``--config FILE``: read only when the file is what it should be."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        try:
            if Path(values).is_file():
                check_settings(Path(values), sections=parser.sections)
        except OSError as error:
            raise ArgumentError(
                None, f"Cannot read {values}: {error.strerror}. Allow this user to read it, or name another file"
            ) from error
        except ValueError as error:
            raise ArgumentError(None, str(error)) from error
        super().__call__(parser, cfg, values, option_string)  # type: ignore[no-untyped-call]


class SectionedParser(Parser):
    """A parser of settings that are grouped in sections; ``--conversion null`` is ``conversion: null`` in a file.

    Attributes:
        sections: keys that have settings below them.
    """

    sections: frozenset[str] = frozenset()

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *more: Any, **settings: Any
    ) -> Any:
        """The settings in some words."""
        if args:
            text = "\0".join(args)
            args = re.sub(r"(^|\0)--conversion[=\0]null(?=\0|$)", r"\1--conversion.neurons=[]", text).split("\0")
        return super().parse_args(args, *more, **settings)


def check_settings(path: Path, *, sections: frozenset[str]) -> None:
    """Refuse a file that is no YAML file of settings, or says something twice.

    Args:
        path: the file.
        sections: keys that have settings below them.

    Raises:  ValueError: it is not text, not YAML, no settings, or a key stands there twice. OSError: it cannot be read.
    """
    fix = "Pass a YAML file of settings, such as the config.yaml of a run."
    try:
        node = yaml.compose(path.read_bytes().decode(), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: byte {error.object[error.start]:#04x}. {fix}") from error
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: " * bool(
            error.problem_mark
        )
        raise ValueError(f"{path} is not YAML: {where}{error.problem}. Indent with spaces; quote texts.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}. {fix}") from error
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"{path} expects settings, one 'key: value' a line; got {_shown(node)}. {fix}")
    _refuse_repeated(node, path, above=(), seen=set())
    for key, value in node.value:
        is_off = key.value == "conversion" and value.tag == "tag:yaml.org,2002:null"
        if key.value in sections and not isinstance(value, yaml.MappingNode) and not is_off:
            raise ValueError(
                f"{path}: {key.value} expects settings of its own, as '{key.value}:' and indented lines "
                f"'key: value'; got {_shown(value)}."
            )


def _shown(node: Any) -> str:
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return repr(node.value) if node is not None and node.value else "nothing"


def _refuse_repeated(node: Any, path: Path, *, above: tuple[Any, ...], seen: set[Any]) -> None:
    """Refuse a key that stands twice in one mapping, of which YAML would take the last, and endless settings."""
    if node in above:
        raise ValueError(f"{path} has settings that contain themselves. Write them out without '*'.")
    if node in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(node)
    lines: dict[str, int] = {}
    for entry in node.value:
        if isinstance(node, yaml.MappingNode) and isinstance(entry[0], yaml.ScalarNode):
            line, key = entry[0].start_mark.line + 1, entry[0].value
            if key in lines:
                raise ValueError(f"{path} has '{key}' twice, in lines {lines[key]} and {line}. Keep one of them.")
            lines[key] = line
        for part in entry if isinstance(entry, tuple) else (entry,):
            _refuse_repeated(part, path, above=(*above, node), seen=seen)
