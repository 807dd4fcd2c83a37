"""What a reviewer of Vyper looks for first, as rules that fail.

Calls    two calls in one expression, one of which changes state: Vyper does not promise an order
Origin   tx.origin
Raw      raw_call without a bound on what it copies back, or with value or code of another
Signed   `//` of signed numbers, which truncates, outside the helpers that name their direction
Unsafe   unsafe_* arithmetic outside modules

    python -m scripts.vyper_rules

What a rule would forbid and is right all the same is named in EXCEPTIONS, with the reason; one
that is needed no longer fails too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scripts import build

HELPERS = "contracts/modules/wad_math.vy"
MODULES = "contracts/modules/"
COPIED_MOST = 4_096  # bytes that a call may give back

EXCEPTIONS = {
    ("Signed", "Debts._lendable"): "the pool's line is taken as 0 when below",
    ("Signed", "Lens._failing"): "amounts that a name says are missing",
    ("Signed", "Lens._withdrawable"): "amounts taken as 0 when below",
    ("Signed", "Lens.preview_order"): "interest and price are not negative",
    ("Signed", "Lens.preview_withdraw"): "amounts taken as 0 when below",
    ("Signed", "Liquidator.call"): "requirements are not negative",
    ("Signed", "Markets._accrued"): "open interest, gap and time are not negative",
    ("Signed", "Markets._store"): "a cap is not negative; the premium's rate goes to zero",
    ("Signed", "Markets._trade"): "fees are not negative",
    ("Signed", "Markets._cover"): "what the pool pays is not negative",
    ("Signed", "Markets.force"): "a result in whole micro-USD, to zero for either sign",
    ("Signed", "Markets.settle"): "a result in whole micro-USD, to zero for either sign",
    ("Signed", "RiskEngine._requirement"): "requirements are not negative",
    ("Signed", "fills._forced_charges"): "a penalty is not negative",
    ("Signed", "market_words._remembered"): "what is left goes to zero, for either sign",
    ("Signed", "market_words._residual"): "what is left goes to zero, for either sign",
    ("Unsafe", "Clearinghouse._store_held"): "the test of what fits, as in the modules",
    ("Unsafe", "OracleHub._quote"): "a slot is never in the future",
    ("Unsafe", "OracleHub.slot_price"): "56-bit prices times at most 10^18",
}


class Finding(NamedTuple):
    """One breach: a rule, the function it is in, and where."""

    rule: str
    function: str  # File.function
    place: str  # path:line
    what: str


def findings(module: Any, path: str) -> Iterator[Finding]:
    """Every breach in a module that the compiler has annotated with types."""
    from vyper import ast

    stem = path.rpartition("/")[2].removesuffix(".vy")
    for function in module.get_descendants(ast.FunctionDef):
        where = f"{stem}.{function.name}"

        def found(rule: str, node: Any, what: str, where: str = where) -> Finding:
            return Finding(rule, where, f"{path}:{node.lineno}", what)

        for statement in _statements(function):
            changing = _within(statement, ast.ExtCall)
            if changing and len(changing) + len(_within(statement, ast.StaticCall)) > 1:
                yield found("Calls", statement, "two calls in one expression")
        for node in function.get_descendants(ast.Attribute):
            if node.attr == "origin" and getattr(node.value, "id", "") == "tx":
                yield found("Origin", node, "tx.origin")
        for node in function.get_descendants(ast.Call):
            name = getattr(node.func, "id", "")
            if name == "raw_call":
                for what in _loose(node):
                    yield found("Raw", node, what)
            if name.startswith("unsafe_") and not path.startswith(MODULES):
                yield found("Unsafe", node, name)
        if path != HELPERS:
            for node in function.get_descendants(ast.BinOp):
                signed = getattr(node._metadata.get("type"), "is_signed", False)
                if isinstance(node.op, ast.FloorDiv) and signed:
                    yield found("Signed", node, "signed // truncates")


def _statements(function: Any) -> Iterator[Any]:
    """The statements of a function, and the heads of those that hold others."""
    from vyper import ast

    holders = (ast.If, ast.For)
    for node in function.get_descendants(ast.VyperNode):
        if not isinstance(getattr(node, "_parent", None), (ast.FunctionDef, *holders)):
            continue
        if isinstance(node, (*holders, ast.arguments)):
            continue
        yield node


def _within(node: Any, kind: type) -> list[Any]:
    return list(node.get_descendants(kind, include_self=True))


def _loose(call: Any) -> Iterator[str]:
    """What a raw call leaves open."""
    keywords = {one.arg: one.value for one in call.keywords}
    outsize = keywords.get("max_outsize")
    if outsize is not None:
        folded = outsize.get_folded_value() if outsize.has_folded_value else outsize
        if not (getattr(folded, "value", COPIED_MOST + 1) <= COPIED_MOST):
            yield f"copies back more than {COPIED_MOST} bytes"
    elif "revert_on_failure" not in keywords:
        yield "says neither what it copies back nor what a failure does"
    for forbidden in ("value", "is_delegate_call"):
        if forbidden in keywords:
            yield f"{forbidden} in a raw call"


def modules() -> Iterator[tuple[str, Any]]:
    """(path, tree with types) of every contract and of every module of ours, each once."""
    seen: set[Path] = set()
    for source in build.deployable_sources().values():
        if source.suffix != ".vy" or "mocks" in source.parts:
            continue
        for file, tree in build.typed_trees(source):
            if file.is_relative_to(build.CONTRACTS) and file not in seen:
                seen.add(file)
                yield file.relative_to(build.ROOT).as_posix(), tree


def breaches() -> tuple[list[Finding], list[tuple[str, str]]]:
    """(what breaks a rule and is no exception, exceptions that nothing needs)."""
    every = [one for path, module in modules() for one in findings(module, path)]
    needed = {(one.rule, one.function) for one in every}
    broken = [one for one in every if (one.rule, one.function) not in EXCEPTIONS]
    return broken, [one for one in EXCEPTIONS if one not in needed]


def main() -> int:
    """Findings on standard error; 1 when there are any."""
    broken, idle = breaches()
    for one in broken:
        print(f"{one.place}: {one.rule}: {one.what} ({one.function})", file=sys.stderr)
    for rule, function in idle:
        print(f"EXCEPTIONS: {rule} of {function} is not needed: remove it", file=sys.stderr)
    if not broken and not idle:
        print(f"no finding; {len(EXCEPTIONS)} exceptions, each with its reason")
    return int(bool(broken or idle))


if __name__ == "__main__":
    sys.exit(main())
