"""The shape of the library: what imports what, and what does not exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

import spikebridge
from spikebridge.core import SURROGATES
from spikebridge.core.planes import PLANE_SURROGATES
from spikebridge.encoders import ENCODERS
from spikebridge.neurons import NEURONS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "spikebridge"
FILES = sorted(SOURCE.rglob("*.py"))


def imported_packages(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


def test_there_are_files_to_check() -> None:
    assert len(FILES) > 40


@pytest.mark.parametrize("package", ["core", "neurons", "encoders", "blocks", "conversion"])
def test_the_mathematics_needs_nothing_but_torch(package: str) -> None:
    allowed = {"torch", "spikebridge", *sys.stdlib_module_names}
    for file in (SOURCE / package).rglob("*.py"):
        assert imported_packages(file) <= allowed, file


def test_importing_the_library_loads_none_of_the_heavy_dependencies() -> None:
    code = "import sys, torch; before = set(sys.modules); import spikebridge; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    packages = {name.split(".")[0] for name in loaded}
    assert "spikebridge" in packages
    heavy = {"matplotlib", "sklearn", "rich", "jsonargparse", "pandas", "scipy", "lightning", "tonic", "PIL"}
    assert not packages & heavy


def test_time_is_looped_over_in_one_place() -> None:
    # `unbind(0)` walks the steps of a train: once for neurons, once for stateless layers taken step by step.
    users = [file.relative_to(SOURCE).as_posix() for file in FILES if ".unbind(0)" in file.read_text()]
    assert sorted(users) == ["core/neuron.py", "core/time.py"]


def test_there_is_no_reset_to_forget() -> None:
    modules = [kind for kind in vars(spikebridge).values() if isinstance(kind, type) and issubclass(kind, nn.Module)]
    assert len(modules) > 10
    assert not [kind for kind in modules if any(re.match(r"_?reset(_|$)", name) for name in dir(kind))]


def test_no_file_is_a_drawer_for_everything() -> None:
    assert not [file for file in FILES if file.stem in {"utils", "helpers", "common", "misc"}]
    assert not [file for file in FILES if len(file.read_text().splitlines()) > 300]


@pytest.mark.parametrize("catalogue", [NEURONS, ENCODERS, SURROGATES], ids=["neurons", "encoders", "surrogates"])
def test_every_catalogued_class_is_public_constructs_bare_and_is_documented(catalogue: dict[str, type]) -> None:
    table = (ROOT / "docs" / "catalogue.md").read_text()
    for name, kind in catalogue.items():
        assert getattr(spikebridge, name) is kind
        kind()
        assert (kind.__doc__ and "Source:" in kind.__doc__) or name == "Direct", f"{name} does not cite its source"
        assert f"`{name}`" in table, f"docs/catalogue.md does not list {name}"


@pytest.mark.parametrize("name", PLANE_SURROGATES)
def test_every_surrogate_of_a_plane_cites_its_source_and_is_documented(name: str) -> None:
    kind = type(PLANE_SURROGATES[name])
    assert "Source:" in (kind.__doc__ or "") or name == "none"
    assert f"| `{name}` | `{kind.__name__}` |" in (ROOT / "docs" / "catalogue.md").read_text()


def test_every_public_name_has_a_docstring() -> None:
    public = {name: thing for name, thing in vars(spikebridge).items() if not name.startswith("_")}
    own = {name: thing for name, thing in public.items() if getattr(thing, "__module__", "").startswith("spikebridge.")}
    assert len(own) >= 25
    assert not [name for name, thing in own.items() if not thing.__doc__]


def test_packages_carry_types() -> None:
    assert (SOURCE / "py.typed").exists()
