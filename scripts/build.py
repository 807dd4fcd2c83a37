"""Compile the contracts: the one place that knows compilers, settings and search paths.

A contract that is deployed has a CamelCase file name under `contracts/` (`.vy` or `.sol`);
snake_case files are Vyper modules and compile only inside the contracts that import them.

    from scripts import build
    artifact = build.artifact("Vault", "cancun")      # compiles that contract alone
    artifacts = build.artifacts("shanghai")           # {name: Artifact} of every contract

On the command line:

    python -m scripts.build                           # everything, for both EVM versions
    python -m scripts.build Vault --evm shanghai

Results are kept under `build/artifacts/<evm>/`. A contract is compiled again when a file it
imports, a compiler, a setting or a library changes; while no source in the tree has changed,
nothing is even parsed.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import hashlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = ROOT / "contracts"
CACHE = ROOT / "build" / "artifacts"
SOLC_FOLDER = ROOT / "scripts" / "solc"

EVM_VERSIONS = ("shanghai", "cancun")
DEFAULT_EVM = "shanghai"  # the newest that ganache and anvil both run
SIZE_LIMIT = 24_576  # bytes of deployed code, EIP-170

VYPER_OPTIMIZE = "gas"
SOLC_VERSION = "0.8.37"
SOLC_OPTIMIZER = {"enabled": True, "runs": 10_000}
SOLC_REMAPPINGS = ["@openzeppelin=node_modules/@openzeppelin"]

# What a debugger reads beside the artifact: kept in a file of its own, since it is large.
_DEBUG_OUTPUTS = ("ast", "devdoc", "userdoc", "evm")


class CompileError(Exception):
    """One or more contracts do not compile; the text names each file and the reason."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract. Code is raw bytes; immutables follow `deployed_bytecode` on chain."""

    name: str
    source: str  # path from the repository's root
    evm_version: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    deployed_bytecode: bytes
    layout: dict[str, Any]  # as the compiler gives it
    size: int  # bytes of deployed code, immutables included


def artifact(name: str, evm_version: str = DEFAULT_EVM) -> Artifact:
    """Compile one contract, or take it from the cache.

    Raises CompileError when it does not compile, KeyError when there is none of that name.
    """
    sources = deployable_sources()
    if name not in sources:
        known = ", ".join(sorted(sources)) or "none yet"
        raise KeyError(f"no contract named {name!r} under contracts/; there are: {known}")
    return _artifact(_up_to_date(name, sources[name], _checked(evm_version)))


def artifacts(evm_version: str = DEFAULT_EVM, names: Iterable[str] = ()) -> dict[str, Artifact]:
    """Compile every contract (or those named). All failures are gathered in one CompileError."""
    compiled, failures = {}, []
    for name in names or sorted(deployable_sources()):
        try:
            compiled[name] = artifact(name, evm_version)
        except CompileError as error:
            failures.append(str(error))
    if failures:
        raise CompileError("\n\n".join(failures))
    return compiled


def deployable_sources() -> dict[str, Path]:
    """Every contract that is deployed: name to source file, by the law of CamelCase."""
    found: dict[str, Path] = {}
    for path in sorted(CONTRACTS.rglob("*")):
        if path.suffix not in (".vy", ".sol") or not path.stem[:1].isupper():
            continue
        if path.stem in found:
            raise CompileError(f"{_relative(path)}: {_relative(found[path.stem])} has this name")
        found[path.stem] = path
    return found


def standard_output(name: str, evm_version: str = DEFAULT_EVM) -> dict[str, Any]:
    """One Vyper contract in the compiler's standard JSON form, with its `ast`: for Brownie."""
    record = _up_to_date(name, deployable_sources()[name], _checked(evm_version))
    debug = json.loads(_debug_file(name, evm_version).read_text())
    return {"abi": record["abi"], "layout": record["layout"], **debug}


@functools.cache
def tree_hash() -> str:
    """Hash of every source in the tree, of the compilers, libraries and settings."""
    digest = hashlib.sha256(_toolchain().encode())
    for path in sorted(CONTRACTS.rglob("*")):
        if path.suffix in (".vy", ".vyi", ".sol"):
            digest.update(f"{_relative(path)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


# -- cache ------------------------------------------------------------------------------------


def _up_to_date(name: str, path: Path, evm_version: str) -> dict[str, Any]:
    file = CACHE / evm_version / f"{name}.json"
    if (record := _read(file)) is not None and record["tree"] == tree_hash():
        return record
    with alone("compile"):
        record = _read(file)  # another process may have compiled it meanwhile
        if record is not None and record["tree"] == tree_hash():
            return record
        compiler: type[_Vyper | _Solidity] = _Vyper if path.suffix == ".vy" else _Solidity
        compiled = compiler(path, evm_version)
        key = hashlib.sha256(f"{_toolchain()}\0{compiled.fingerprint()}".encode()).hexdigest()
        if record is None or record["key"] != key:
            record, debug = compiled.outputs()
            _write(_debug_file(name, evm_version), debug)
        record = {**record, "tree": tree_hash(), "key": key}
        _write(file, record)
    return record


def _artifact(record: dict[str, Any]) -> Artifact:
    fields = {k: record[k] for k in ("name", "source", "evm_version", "abi", "layout", "size")}
    return Artifact(
        **fields,
        bytecode=bytes.fromhex(record["bytecode"]),
        deployed_bytecode=bytes.fromhex(record["deployed_bytecode"]),
    )


def _debug_file(name: str, evm_version: str) -> Path:
    return CACHE / evm_version / "debug" / f"{name}.json"


def _read(file: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return record


def _write(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(json.dumps(content, default=str))
    beside.replace(file)


def typed_tree(source: Path) -> Any:
    """The syntax tree of a Vyper contract, with types."""
    return _Vyper(source, DEFAULT_EVM).data.annotated_vyper_module


def typed_trees(source: Path) -> Iterator[tuple[Path, Any]]:
    """(file, syntax tree with types) of a Vyper contract and of every module that it imports."""
    tree = typed_tree(source)
    yield source, tree
    waiting = [tree._metadata["type"]]
    while waiting:
        for imported in waiting.pop().imported_modules.values():
            module = imported.module_t
            yield Path(module._module.resolved_path), module._module
            waiting.append(module)


@contextmanager
def alone(what: str) -> Iterator[None]:
    """Only one process at a time does `what`: the others then find its results."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def _toolchain() -> str:
    packages = ROOT / "node_modules" / "@openzeppelin" / "contracts" / "package.json"
    return json.dumps(
        {
            "vyper": [installed_version("vyper"), VYPER_OPTIMIZE],
            "snekmate": installed_version("snekmate"),
            "solc": [SOLC_VERSION, SOLC_OPTIMIZER, SOLC_REMAPPINGS],
            "openzeppelin": json.loads(packages.read_text())["version"]
            if packages.exists()
            else None,
            "record": 1,  # form of the cached files
        }
    )


def _checked(evm_version: str) -> str:
    if evm_version not in EVM_VERSIONS:
        raise ValueError(f"EVM version {evm_version!r}: use one of {', '.join(EVM_VERSIONS)}")
    return evm_version


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# -- compilers --------------------------------------------------------------------------------


class _Vyper:
    """One Vyper contract, read from the file system with the modules it imports."""

    def __init__(self, path: Path, evm_version: str) -> None:
        from vyper.compiler.input_bundle import FilesystemInputBundle
        from vyper.compiler.phases import CompilerData
        from vyper.compiler.settings import OptimizationLevel, Settings

        libraries = importlib.util.find_spec("snekmate")
        assert libraries is not None, "snekmate is part of the lock file"
        assert libraries.submodule_search_locations is not None
        bundle = FilesystemInputBundle(
            [Path(libraries.submodule_search_locations[0]).parent, ROOT],
        )
        self.path, self.evm_version = path, evm_version
        with self._errors():
            self.data = CompilerData(
                bundle.load_file(_relative(path) if path.is_relative_to(ROOT) else path),
                bundle,
                settings=Settings(
                    evm_version=evm_version,
                    optimize=OptimizationLevel.from_string(VYPER_OPTIMIZE),
                ),
            )

    def fingerprint(self) -> str:
        with self._errors():
            return str(self.data.integrity_sum)

    def outputs(self) -> tuple[dict[str, Any], dict[str, Any]]:
        from vyper.cli import vyper_json
        from vyper.compiler import outputs_from_compiler_data

        wanted = [
            vyper_json.TRANSLATE_MAP[output]
            for output in (
                "abi",
                "ast",
                "devdoc",
                "userdoc",
                "layout",
                "evm.bytecode.object",
                "evm.bytecode.sourceMap",
                "evm.bytecode.opcodes",
                "evm.deployedBytecode.object",
                "evm.deployedBytecode.sourceMap",
                "evm.deployedBytecode.opcodes",
            )
        ]
        with self._errors():
            data = outputs_from_compiler_data(self.data, wanted)
        source = _relative(self.path)
        standard = vyper_json.format_to_output_dict(
            {self.path.relative_to(ROOT): {**data, "source_id": 0}}
        )
        contract = standard["contracts"][source][self.path.stem]
        contract["ast"] = standard["sources"][source]["ast"]
        deployed = bytes.fromhex(contract["evm"]["deployedBytecode"]["object"].removeprefix("0x"))
        return {
            "name": self.path.stem,
            "source": source,
            "evm_version": self.evm_version,
            "abi": contract["abi"],
            "bytecode": contract["evm"]["bytecode"]["object"].removeprefix("0x"),
            "deployed_bytecode": deployed.hex(),
            "layout": contract["layout"],
            "size": len(deployed) + _immutables(contract["layout"].get("code_layout", {})),
        }, {output: contract[output] for output in _DEBUG_OUTPUTS}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        # the compiler raises its own errors and, on inputs it did not expect, any other
        try:
            yield
        except Exception as error:
            text = str(error).strip() or type(error).__name__
            raise CompileError(
                f"{_relative(self.path)}: {type(error).__name__}\n  "
                + text.replace(f"{ROOT}/", "").replace("\n", "\n  ")
            ) from error


def _immutables(layout: dict[str, Any]) -> int:
    """Bytes of a Vyper contract's immutables, the modules' nested ones included."""
    if "length" in layout and "offset" in layout:
        return int(layout["length"])
    return sum(_immutables(inner) for inner in layout.values() if isinstance(inner, dict))


class _Solidity:
    """One Solidity contract through py-solc-x, with libraries from node_modules."""

    def __init__(self, path: Path, evm_version: str) -> None:
        self.path, self.evm_version = path, evm_version

    def fingerprint(self) -> str:
        # imports stay inside contracts/ and the library, whose version is in the key
        digest = hashlib.sha256()
        for path in sorted(CONTRACTS.rglob("*.sol")):
            digest.update(f"{_relative(path)}\0".encode() + path.read_bytes() + b"\0")
        return digest.hexdigest() + _relative(self.path)

    def outputs(self) -> tuple[dict[str, Any], dict[str, Any]]:
        use_solc_of_project()
        import solcx

        source = _relative(self.path)
        request = {
            "language": "Solidity",
            "sources": {source: {"content": self.path.read_text()}},
            "settings": {
                "evmVersion": self.evm_version,
                "optimizer": SOLC_OPTIMIZER,
                "remappings": SOLC_REMAPPINGS,
                "outputSelection": {
                    source: {
                        "*": [
                            "abi",
                            "storageLayout",
                            "evm.bytecode.object",
                            "evm.deployedBytecode.object",
                        ]
                    }
                },
            },
        }
        try:
            answer = solcx.compile_standard(request, solc_version=SOLC_VERSION)
        except solcx.exceptions.SolcError as error:
            said = error.message or error.stderr_data or error.stdout_data
            raise CompileError(f"{source}: {said}") from error
        contract = answer["contracts"][source][self.path.stem]
        deployed = contract["evm"]["deployedBytecode"]["object"]
        return {
            "name": self.path.stem,
            "source": source,
            "evm_version": self.evm_version,
            "abi": contract["abi"],
            "bytecode": contract["evm"]["bytecode"]["object"],
            "deployed_bytecode": deployed,
            "layout": contract["storageLayout"],
            "size": len(deployed) // 2,
        }, {}


def use_solc_of_project() -> None:
    """Let py-solc-x find the compiler in `scripts/solc`, so that it never downloads one."""
    if not (ROOT / "node_modules" / "solc").exists() and "SOLCX_BINARY_PATH" not in os.environ:
        raise CompileError("node_modules/ has no Solidity compiler: run `make setup`")
    os.environ.setdefault("SOLCX_BINARY_PATH", str(SOLC_FOLDER))


def main() -> int:
    """Compile what the command line names, for one EVM version or all."""
    parser = argparse.ArgumentParser(description="Compile the contracts.")
    parser.add_argument("names", nargs="*", help="contracts; all of them when none is named")
    parser.add_argument("--evm", choices=EVM_VERSIONS, help="one EVM version; both by default")
    options = parser.parse_args()
    failed = False
    for evm_version in [options.evm] if options.evm else EVM_VERSIONS:
        for name in options.names or sorted(deployable_sources()):
            started = time.monotonic()
            try:
                compiled = artifact(name, evm_version)
            except (CompileError, KeyError) as error:
                print(error.args[0], file=sys.stderr)
                failed = True
                continue
            took = time.monotonic() - started
            print(f"{name:<24} {evm_version:<9} {compiled.size:>6} bytes {took:6.1f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
