"""Change the contracts a little, many times, and see whether the fast tests notice.

    python -m scripts.mutants --count 400 --seed 1        # goes on where it stopped
    python -m scripts.mutants --report                    # what is known so far

Each mutant changes one place of one contract or module: a comparison, an operation, a constant,
a rounding's direction, an assertion or a statement left out. One that does not compile, or
compiles to the same code, is none. The tests run in a copy of the committed tree, the likeliest to
notice first, until one fails. Results are lines of reports/mutants.jsonl; survivors are listed.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts import build

COPY = build.ROOT / "build" / "mutants"
RESULTS = build.ROOT / "reports" / "mutants.jsonl"
SECONDS = 600  # a mutant that runs longer hangs: it was noticed
SUITES = ("tests/unit", "tests/attack", "tests/property")
LINKED = (".venv", "node_modules")

_OPERATIONS = {"+": "-", "-": "+", "*": "+", "//": "*", "<<": ">>", ">>": "<<", "|": "&", "&": "|"}
_COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
_LOGIC = {"and": "or", "or": "and"}
_NAMES = {
    "min": "max", "max": "min", "_ceil_div": "_floor_div", "_floor_div": "_ceil_div",
    "LEVEL_FRESH": "LEVEL_ANY", "LEVEL_TIGHT": "LEVEL_FRESH", "LEVEL_RECENT": "LEVEL_ANY",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: characters `start` to `end` of a file become `text`."""

    path: str
    line: int
    start: int
    end: int
    old: str
    text: str


def of_file(path: Path, tree: Any) -> Iterator[Mutant]:
    """Every mutant of a file whose tree the compiler has made."""
    from vyper import ast

    source = path.read_text()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    name = path.relative_to(build.ROOT).as_posix()

    def span(node: Any) -> tuple[int, int]:
        return (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def mutant(start: int, end: int, text: str) -> Mutant:
        line = source.count("\n", 0, start) + 1
        return Mutant(name, line, start, end, source[start:end], text)

    def between(left: Any, right: Any, table: dict[str, str]) -> Iterator[Mutant]:
        start, end = span(left)[1], span(right)[0]
        gap = source[start:end]
        found = gap.strip(" ()\\\n")
        if found in table:
            at = start + gap.index(found)
            yield mutant(at, at + len(found), table[found])

    for function in tree.get_children(ast.FunctionDef):
        for node in function.get_descendants(ast.VyperNode):
            if isinstance(node, ast.BinOp):
                yield from between(node.left, node.right, _OPERATIONS)
            elif isinstance(node, ast.Compare):
                yield from between(node.left, node.right, _COMPARISONS)
            elif isinstance(node, ast.BoolOp):
                for left, right in zip(node.values, node.values[1:], strict=False):
                    yield from between(left, right, _LOGIC)
            elif isinstance(node, ast.Int):
                start, end = span(node)
                if source[start:end].isdigit():
                    yield mutant(start, end, str(int(source[start:end]) + 1))
            elif isinstance(node, ast.Name) and node.id in _NAMES:
                yield mutant(*span(node), _NAMES[node.id])
            elif isinstance(node, ast.Attribute) and node.attr in _NAMES:
                _, end = span(node)
                yield mutant(end - len(node.attr), end, _NAMES[node.attr])
            elif isinstance(node, ast.If):
                for constant in ("True", "False"):
                    yield mutant(*span(node.test), constant)
            elif isinstance(node, (ast.Assert, ast.AugAssign, ast.Expr, ast.Assign)) and not (
                isinstance(node, ast.Expr) and isinstance(node.value, ast.Str)
            ):
                yield mutant(*span(node), "pass")


def sample(count: int, seed: int) -> list[Mutant]:
    """A seeded sample over all contracts and modules, in the order in which it is worked off."""
    every: list[Mutant] = []
    seen: set[Path] = set()
    for source in sorted(build.deployable_sources().values()):
        if source.suffix == ".vy" and "mocks" not in source.parts:
            for file, tree in build.typed_trees(source):
                if file.is_relative_to(build.CONTRACTS) and file not in seen:
                    seen.add(file)
                    every.extend(of_file(file, tree))
    random.Random(seed).shuffle(every)
    return every[:count]


def tests_for(path: str) -> list[str]:
    """The fast tests, those that are named for the file first."""
    stem = Path(path).stem.lower().replace("_", "")
    files = sorted(
        (file for suite in SUITES for file in (build.ROOT / suite).glob("test_*.py")),
        key=lambda file: (stem not in file.stem.replace("_", ""), file.parent.name, file.name),
    )
    return [file.relative_to(build.ROOT).as_posix() for file in files]


def prepare() -> None:
    """A copy of what is committed, with the environments of this tree."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    archive = subprocess.run(
        ["git", "archive", "HEAD"], cwd=build.ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", str(COPY)], input=archive.stdout, check=True)
    for name in LINKED:
        (COPY / name).symlink_to((build.ROOT / name).resolve())
    shutil.copytree(build.CACHE, COPY / build.CACHE.relative_to(build.ROOT))


def outcome(mutant: Mutant) -> str:
    """killed, survived, same (compiles to the same code) or invalid (does not compile)."""
    file = COPY / mutant.path
    source = file.read_text()
    file.write_text(source[: mutant.start] + mutant.text + source[mutant.end :])
    try:
        compiled = _python("-m", "scripts.build")
        if compiled.returncode:
            return "invalid"
        if _codes(COPY) == _codes(build.ROOT):
            return "same"
        tests = tests_for(mutant.path)
        flags = [
            "-q",
            "-x",
            "-p",
            "no:pytest-brownie",
            "-p",
            "no:boa_test",
            "-p",
            "no:cacheprovider",
        ]
        deselected = ["--ignore=tests/unit/test_docs.py"]  # which compares texts, not behaviour
        return (
            "killed"
            if _python("-m", "pytest", *flags, *deselected, *tests).returncode
            else ("survived")
        )
    except subprocess.TimeoutExpired:
        return "killed"
    finally:
        file.write_text(source)


def _codes(root: Path) -> dict[str, str]:
    folder = root / build.CACHE.relative_to(build.ROOT) / build.DEFAULT_EVM
    return {
        file.stem: json.loads(file.read_text())["deployed_bytecode"]
        for file in sorted(folder.glob("*.json"))
        if not file.name.startswith(".") and file.stem in build.deployable_sources()
    }


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COPY / ".venv" / "bin" / "python"), *arguments],
        cwd=COPY, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip


def known() -> dict[str, dict[str, Any]]:
    """Results so far, by mutant."""
    if not RESULTS.exists():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return {_key(row["mutant"]): row for row in rows}


def _key(mutant: dict[str, Any]) -> str:
    return "{path}:{line}:{start}:{text}".format(**mutant)


def report() -> int:
    """Print counts and survivors; 1 when nothing is known."""
    rows = list(known().values())
    counts = Counter(row["outcome"] for row in rows)
    judged = counts["killed"] + counts["survived"]
    if not judged:
        print("no mutant was judged yet", file=sys.stderr)
        return 1
    for row in rows:
        if row["outcome"] == "survived":
            one = row["mutant"]
            print(f"{one['path']}:{one['line']}: {one['old']!r} -> {one['text']!r}")
    print(
        f"{counts['killed']} of {judged} mutants noticed, {counts['killed'] / judged:.1%}; "
        f"{counts['invalid']} did not compile, {counts['same']} compiled to the same code"
    )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=400, help="size of the sample")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60, help="stop after so long")
    parser.add_argument("--report", action="store_true", help="only show what is known")
    options = parser.parse_args()
    if options.report:
        return report()
    done, until = known(), time.monotonic() + 60 * options.minutes
    waiting = [one for one in sample(options.count, options.seed) if _key(asdict(one)) not in done]
    prepare()
    RESULTS.parent.mkdir(exist_ok=True)
    for place, mutant in enumerate(waiting, 1):
        if time.monotonic() > until:
            break
        result = outcome(mutant)
        with RESULTS.open("a") as file:
            file.write(json.dumps({"mutant": asdict(mutant), "outcome": result}) + "\n")
        print(f"{place}/{len(waiting)} {mutant.path}:{mutant.line} {result}", flush=True)
    return report()


if __name__ == "__main__":
    sys.exit(main())
