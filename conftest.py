"""Doctests read as they would after ``import torch``; code blocks in Markdown pages run as they stand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from torch import nn

pytest_collect_file = Sybil([PythonCodeBlockParser(), SkipParser()], pattern="*.md").pytest()


@pytest.fixture(autouse=True)
def _imports(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(torch=torch, nn=nn)
    torch.manual_seed(0)
