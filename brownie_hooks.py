"""What Brownie needs to read Vyper 0.4. It imports this file before it looks at any source.

Brownie 1.22 compiles each `.vy` file alone, from one JSON request without `.vyi` files or
libraries, and reads the source map in the form of older compilers. Here the request is answered
by scripts/build.py instead: deployable contracts only, modules and libraries from the file
system, and the source map in the compressed form. What Brownie compiled is forgotten when any
source has changed, and kept apart by EVM version: Brownie itself sees neither a change in an
interface nor one of the version.
"""

from __future__ import annotations

import os
import shutil
from pathlib import PurePath
from typing import Any

from vyper.cli import vyper_json

from scripts import build

_BROWNIE_BUILD = build.ROOT / "build" / "brownie"
_EVM_VERSION = os.environ.get("BALLAST_EVM_VERSION", build.DEFAULT_EVM)  # as brownie-config.yaml


def compile_json(request: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
    """Answer a standard JSON request for Vyper contracts from the project's own build."""
    evm_version = request["settings"]["evmVersion"]
    deployable = build.deployable_sources()
    answer: dict[str, Any] = {"contracts": {}, "sources": {}}
    for path in request["sources"]:
        name = PurePath(path).stem
        if name not in deployable:
            continue  # a module: compiled inside the contracts that import it
        contract = build.standard_output(name, evm_version)
        for code in ("bytecode", "deployedBytecode"):
            source_map = contract["evm"][code].get("sourceMap", {})
            contract["evm"][code]["sourceMap"] = source_map.get("pc_pos_map_compressed", "")
        answer["sources"][path] = {"id": 0, "ast": contract.pop("ast")}
        answer["contracts"][path] = {name: contract}
    return answer


def _select_build() -> None:
    """Put the compiled contracts of this EVM version where Brownie looks for them."""
    current, mark = _BROWNIE_BUILD / "contracts", _BROWNIE_BUILD / "evm_version"
    before = mark.read_text() if mark.exists() else _EVM_VERSION
    if before != _EVM_VERSION:
        shutil.rmtree(_BROWNIE_BUILD / before, ignore_errors=True)
        current.rename(_BROWNIE_BUILD / before)
        if (_BROWNIE_BUILD / _EVM_VERSION).exists():
            (_BROWNIE_BUILD / _EVM_VERSION).rename(current)
    current.mkdir(parents=True, exist_ok=True)
    mark.write_text(_EVM_VERSION)


def _forget_stale_build() -> None:
    """Drop compiled Vyper contracts when any source has changed."""
    mark = _BROWNIE_BUILD / "contracts" / ".tree"
    if mark.exists() and mark.read_text() == build.tree_hash():
        return
    for name, source in build.deployable_sources().items():
        if source.suffix == ".vy":
            mark.with_name(f"{name}.json").unlink(missing_ok=True)
    mark.write_text(build.tree_hash())


build.use_solc_of_project()
_select_build()
_forget_stale_build()
vyper_json.compile_json = compile_json
