"""The compile pipeline: what it finds, when it compiles again, and what it says of a mistake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import build

LIMIT = "# pragma version 0.4.3\nLIMIT: constant(uint256) = {limit}\n"
GATE = """# pragma version 0.4.3
from contracts.modules import limits
OPENED_AT: immutable(uint256)

@deploy
def __init__():
    OPENED_AT = block.timestamp

@external
@view
def passes(amount: uint256) -> bool:
    return amount <= limits.LIMIT and block.timestamp >= OPENED_AT
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small project of its own: one contract over one module."""
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "CONTRACTS", tmp_path / "contracts")
    monkeypatch.setattr(build, "CACHE", tmp_path / "build")
    (tmp_path / "contracts" / "modules").mkdir(parents=True)
    _write(tmp_path, "modules/limits.vy", LIMIT.format(limit=100))
    _write(tmp_path, "Gate.vy", GATE)
    yield tmp_path
    build.tree_hash.cache_clear()


def _write(tree: Path, name: str, source: str) -> None:
    (tree / "contracts" / name).write_text(source)
    build.tree_hash.cache_clear()


def test_artifact__only_camel_case_is_deployable(tree: Path) -> None:
    assert list(build.artifacts("cancun")) == ["Gate"]


def test_artifact__size_counts_the_immutables(tree: Path) -> None:
    gate = build.artifact("Gate", "cancun")
    assert gate.size == len(gate.deployed_bytecode) + 32


def test_artifact__an_imported_module_changes__is_compiled_again(tree: Path) -> None:
    before = build.artifact("Gate", "shanghai")
    _write(tree, "modules/limits.vy", LIMIT.format(limit=200))
    assert build.artifact("Gate", "shanghai").bytecode != before.bytecode


def test_artifact__another_file_changes__is_taken_from_the_cache(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build.artifact("Gate", "shanghai")
    _write(tree, "modules/unrelated.vy", LIMIT.format(limit=1))

    def never(_: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(build._Vyper, "outputs", never)
    assert build.artifact("Gate", "shanghai") == before


def test_artifacts__all_mistakes_are_told__with_their_files(tree: Path) -> None:
    _write(
        tree, "Wrong.vy", "# pragma version 0.4.3\n@external\ndef f() -> uint256:\n    return x\n"
    )
    _write(tree, "Broken.vy", "# pragma version 0.4.3\ndef\n")
    with pytest.raises(build.CompileError) as failure:
        build.artifacts("cancun")
    assert "contracts/Wrong.vy: UndeclaredDefinition" in str(failure.value)
    assert "contracts/Broken.vy: " in str(failure.value)
    assert str(tree) not in str(failure.value)


def test_artifact__unknown_contract_or_evm_version__names_what_there_is(tree: Path) -> None:
    with pytest.raises(KeyError, match=r"no contract named 'Gat' .* there are: Gate"):
        build.artifact("Gat")
    with pytest.raises(ValueError, match="'paris': use one of shanghai, cancun"):
        build.artifact("Gate", "paris")


def test_deployable_sources__one_name_twice__is_refused(tree: Path) -> None:
    (tree / "contracts" / "mocks").mkdir()
    _write(tree, "mocks/Gate.vy", GATE)
    with pytest.raises(build.CompileError, match=r"contracts/Gate\.vy has this name"):
        build.artifact("Gate")
