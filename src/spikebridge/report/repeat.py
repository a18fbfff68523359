"""How to repeat a run: its command, its settings, and where it ran."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..measure.record import RunRecord
from .compare import Group
from .numbers import plural

_RESULT_LINES = 40
_COUNTED = {"cpus": "CPU", "threads": "thread"}


def repeat_html(groups: Sequence[Group]) -> str:
    """One foldable block per run; the first is open."""
    records = [(group, record) for group in groups for record in group.records]
    blocks = [_run_html(group, record, is_open=index == 0) for index, (group, record) in enumerate(records)]
    return "\n".join(blocks)


def _run_html(group: Group, record: RunRecord, *, is_open: bool) -> str:
    found = record.environment
    name = group.label if len(group.records) == 1 else f"{group.label}, seed {record.seed}"
    parts = [
        _code("Command", str(found.get("command") or "not recorded")),
        _code("Config", settings_text(record.config)) if record.config else "",
        _facts(record),
        _code("Other results", _shortened(settings_text(record.results))) if record.results else "",
    ]
    return (
        f'<details class="run"{" open" if is_open else ""}><summary><h3>{escape(name)}</h3></summary>'
        f"{''.join(parts)}</details>"
    )


def _code(title: str, text: str) -> str:
    label = escape(title)
    return (
        f'<div class="code"><h4>{label}</h4><pre tabindex="0" role="region" aria-label="{label}">'
        f"<code>{escape(text)}</code></pre></div>"
    )


def _facts(record: RunRecord) -> str:
    found = record.environment
    versions, hardware = _mapping(found.get("versions")), _mapping(found.get("hardware"))
    facts = {
        "Method": record.method,
        "Seed": record.seed,
        "Commit": found.get("commit") or "not recorded",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "Hardware": _hardware(hardware),
        "Timings": ", ".join(f"{stage} {_seconds(taken)}" for stage, taken in record.timings_s.items()),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items() if value != "")
    return f'<dl class="facts">{rows}</dl>'


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _hardware(found: Mapping[str, Any]) -> str:
    said = [str(found["processor"])] if found.get("processor") else []
    said += [plural(int(found[name]), noun) for name, noun in _COUNTED.items() if found.get(name)]
    return ", ".join([*said, str(found.get("accelerator") or "no accelerator")]) if found else ""


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 or not math.isfinite(value) else f"{1000 * value:.0f} ms"


def _shortened(text: str) -> str:
    lines = text.splitlines()
    if len(lines) <= _RESULT_LINES:
        return text
    return "\n".join([*lines[:_RESULT_LINES], f"# {len(lines) - _RESULT_LINES} more lines in the record"])


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings as YAML, which a config file may hold.

    >>> print(settings_text({"model": {"widths": [16, 32]}, "rate": 0.005, "augment": None, "note": "a: b"}))
    model:
      widths: [16, 32]
    rate: 0.005
    augment: null
    note: "a: b"
    """
    return "\n".join(_lines(settings, ""))


def _lines(settings: Mapping[str, Any], indent: str) -> list[str]:
    found = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found += [f"{indent}{_scalar(str(key))}:", *_lines(value, indent + "  ")]
        else:
            found.append(f"{indent}{_scalar(str(key))}: {_flow(value)}")
    return found


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(str(key))}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    text = str(value)
    is_plain = text[:1].isalpha() or text[:1] == "/"
    is_plain = is_plain and all(letter.isalnum() or letter in "_./-" for letter in text)
    is_word = is_plain and text.lower() not in ("null", "true", "false", "yes", "no", "on", "off", "y", "n")
    return text if is_word else json.dumps(text, ensure_ascii=False)
