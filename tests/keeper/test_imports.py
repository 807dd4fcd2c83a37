"""The shape of the keeper: a pure core, edges around it, nothing of the repository at run time."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.build import ROOT

KEEPER = ROOT / "keeper"
# what pure code may stand on: values, arithmetic, hashing and coding
PURE = {
    "__future__",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "math",
    "operator",
    "types",
    "typing",
    "zlib",
    "eth_abi",
    "eth_utils",
}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", sorted(KEEPER.glob("core/**/*.py")), ids=lambda f: f.stem)
def test_core__imports_nothing_that_does_io(file: Path) -> None:
    for name in imported(file):
        ours = name.split(".")[:2] == ["keeper", "core"] or name == "keeper"
        assert ours or name.split(".")[0] in PURE, f"{file.name} imports {name}"


@pytest.mark.parametrize("file", sorted(KEEPER.glob("core/**/*.py")), ids=lambda f: f.stem)
def test_core__has_no_floats(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float), f"{file.name}:{node.lineno}"
        if isinstance(node, ast.BinOp | ast.AugAssign):
            assert not isinstance(node.op, ast.Div), f"{file.name}:{node.lineno} divides to a float"


@pytest.mark.parametrize("file", sorted(KEEPER.glob("**/*.py")), ids=lambda f: f.stem)
def test_keeper__knows_nothing_of_scripts_and_tests(file: Path) -> None:
    assert not {name.split(".")[0] for name in imported(file)} & {"scripts", "tests", "brownie"}


def test_edges__know_nothing_of_what_stands_on_them() -> None:
    above = {"keeper.app", "keeper.cli", "keeper.rounds", "keeper.wiring", "keeper.web"}
    for file in KEEPER.glob("edges/*.py"):
        assert not set(imported(file)) & above, file.name


def test_keeper__importable_without_the_development_tools() -> None:
    """Every module, with Brownie, Vyper, scripts and tests out of reach."""
    program = """
import importlib, pkgutil, sys
class Hidden:
    def find_spec(self, name, *_):
        if name.split(".")[0] in {"brownie", "vyper", "boa", "pyrevm", "scripts", "tests"}:
            raise ImportError(name)
sys.meta_path.insert(0, Hidden())
import keeper
for one in pkgutil.walk_packages(keeper.__path__, "keeper."):
    if one.name != "keeper.__main__": importlib.import_module(one.name)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
