"""The documents say what the code says: refusals, divisions, tests, links, commands, figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from typer.main import get_command

from keeper import cli
from keeper.config import Config
from keeper.core import errors
from keeper.core.errors import Kind
from keeper.edges.telemetry import Metrics
from scripts import build, figures
from scripts.build import CONTRACTS, ROOT

DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")))
SOURCES = sorted(file for file in CONTRACTS.rglob("*.vy") if file.parent.name != "mocks")
TESTS = ROOT / "tests"

REFUSAL = re.compile(r'"([a-z0-9]+: [^"\n]+)"')
MEANS = {
    "retry": Kind.TRANSIENT,
    "wait": Kind.TRANSIENT,
    "skip": Kind.REJECTED,
    "alarm": Kind.FATAL,
}


def code(file: Path) -> str:
    """A Vyper file without its docstrings and comments."""
    text = re.sub(r'"""[\s\S]*?"""', "", file.read_text())
    return "\n".join(line.split("  #")[0] for line in text.splitlines())


def rows(page: str) -> Iterator[list[str]]:
    """The cells of every table row of a page, heads and rules aside."""
    lines = (DOCS / page).read_text().splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|") and not line.startswith("| ---") and above.startswith("|"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next of its rank."""
    text = (DOCS / page).read_text()
    found = re.search(rf"^## {re.escape(heading)}.*?$([\s\S]*?)(?=^## |\Z)", text, re.MULTILINE)
    assert found, f"{page} has no section {heading!r}"
    return found.group(1)


def _named(items: Iterable[object]) -> str:
    return "; ".join(sorted(map(str, items)))


# ERRORS.md


def documented_errors() -> dict[str, str]:
    """Text of each refusal: what to do about it."""
    found: dict[str, str] = {}
    for cells in rows("ERRORS.md"):
        text = cells[0].strip("`")
        if ": " in text:
            assert text not in found, f"ERRORS.md lists {text!r} twice"
            found[text] = cells[-1]
    return found


def of_libraries() -> set[str]:
    listed = section("ERRORS.md", "Of the libraries that the contracts contain")
    return {text.strip("` ") for text in re.findall(r"^\| (.+?) \|", listed, re.MULTILINE)[2:]}


def test_errors__table_and_contracts_agree() -> None:
    raised = {text for file in SOURCES for text in REFUSAL.findall(code(file))}
    listed = set(documented_errors()) - of_libraries()
    assert not raised - listed, "docs/ERRORS.md lacks " + _named(raised - listed)
    assert not listed - raised, "no contract says " + _named(listed - raised)


def test_errors__of_libraries_are_those_in_the_compiled_code() -> None:
    deployed = b"".join(one.deployed_bytecode for one in build.artifacts("cancun").values())
    snekmate = find_spec("snekmate")
    assert snekmate is not None
    assert snekmate.submodule_search_locations
    library = Path(snekmate.submodule_search_locations[0])
    known = {text for file in library.rglob("*.vy") for text in REFUSAL.findall(code(file))}
    # a text of more than a word is in the code as its first 32 bytes and the rest
    compiled = {text for text in known if text[:32].encode() in deployed}
    listed = of_libraries()
    assert not compiled - listed, "docs/ERRORS.md lacks " + _named(compiled - listed)
    assert not listed - compiled, "no contract contains " + _named(listed - compiled)


def test_errors__one_place_one_fact() -> None:
    for text in documented_errors():
        place, fact = text.split(": ", 1)
        assert place.isidentifier(), text
        assert fact == fact.strip().rstrip("."), text


def test_errors__the_keeper_does_what_the_table_says() -> None:
    for text, action in documented_errors().items():
        word = re.split(r"\W", action)[0]
        assert word in MEANS, f"{text}: what to do about it?"
        assert errors.kind_of(text) is MEANS[word], f"{text}: {action}"


def test_errors__the_keeper_knows_no_text_that_no_contract_says() -> None:
    acted_on = set(re.findall(r'^ +"([a-z]+: [^"]+)",$', source(errors), re.MULTILINE))
    assert len(acted_on) > 10
    unknown = acted_on - set(documented_errors())
    assert not unknown, "no contract says " + _named(unknown)


def source(module: object) -> str:
    return Path(str(getattr(module, "__file__", ""))).read_text()


# ROUNDING.md

# a division is `//` or unsafe_div, a call that is named for its direction, or (a + b - 1) // b
DIVISION = re.compile(
    r"(?P<up>\+ [\w.]+ - 1\) //|_share_up\()|(?P<plain>//|\bunsafe_div\()"
    r"|\b_(?P<named>floor|ceil)_div\("
)
DIRECTIONS = {"ceil": ("up",), "floor": ("down",), "//": ("down", "up", "to zero", "exact")}


def divisions(file: Path) -> Counter[tuple[str, str]]:
    """How often each function of a file divides, by kind of division."""
    found: Counter[tuple[str, str]] = Counter()
    for function in re.split(r"^def ", code(file), flags=re.MULTILINE)[1:]:
        name, body = function.split("(", 1)
        for one in DIVISION.finditer(body):
            kind = one["named"] or ("//" if one["plain"] else "ceil")
            found[f"{file.stem}.{name}", kind] += 1
    return found


def test_rounding__every_division_is_listed_and_none_that_is_not() -> None:
    made: Counter[tuple[str, str]] = Counter()
    for file in SOURCES:
        made += divisions(file)
    listed: Counter[tuple[str, str]] = Counter()
    for where, division, _, direction, *_ in rows("ROUNDING.md"):
        kind, _, times = division.partition(" × ")
        listed[where.strip("`"), kind] += int(times or 1)
        assert direction.startswith(DIRECTIONS[kind]), f"{where}: {kind} rounds {direction}?"
    assert not made - listed, "docs/ROUNDING.md lacks " + _named(made - listed)
    assert not listed - made, "no contract makes " + _named(listed - made)


def test_rounding__a_division_is_seen_in_each_of_its_forms(tmp_path: Path) -> None:
    file = tmp_path / "sample.vy"
    file.write_text(
        '"""\na // b\n"""\n'
        "def _f(a: uint256, b: uint256) -> uint256:  # x // y\n"
        "    c: uint256 = (a * 2 + b - 1) // b\n"
        "    d: uint256 = a // b + self._ceil_div(a, b)\n"
        "    return (a - 1) // 2 + math._floor_div(c, d) + self._share_up(a, b)\n"
    )
    assert divisions(file) == {
        ("sample._f", "ceil"): 3,
        ("sample._f", "//"): 2,
        ("sample._f", "floor"): 1,
    }


# every page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page__links_files_and_tests_exist(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"link to {target}"
    for path in re.findall(r"`((?:contracts|docs|keeper|scripts|tests)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), f"names {path}"
    for file, test in re.findall(r"`([\w/]+\.py)::(\w+)`", text):
        assert (TESTS / file).exists(), f"names tests/{file}"
        defined = re.search(rf"^ *def {test}\(", (TESTS / file).read_text(), re.MULTILINE)
        assert defined, f"names {file}::{test}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page__make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = _commands(page.read_text())
    named = re.findall(r"(?:`|^)make ([a-z][a-z-]*)", text, re.MULTILINE)
    assert not set(named) - targets, "no make target " + _named(set(named) - targets)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page__keeper_commands_settings_and_metrics_exist(page: Path) -> None:
    text = page.read_text()
    commands = get_command(cli.app).commands  # type: ignore[attr-defined]
    named = set(re.findall(r"(?:`|^)keeper ([a-z][a-z-]*)", _commands(text), re.MULTILINE))
    assert not named - set(commands), "no command " + _named(named - set(commands))
    for section, key in re.findall(r"`([a-z]+)\.([a-z][a-z_]*)`", text):
        settings = Config.model_fields.get(section)
        if settings is not None:
            assert key in getattr(settings.default, "model_fields", ()), f"{section}.{key}"
    shown = generate_latest(Metrics().registry).decode()
    for metric in re.findall(r"`(ballast_\w+)`", text):
        assert re.search(rf"^# TYPE {metric} ", shown, re.MULTILINE), metric


def _commands(text: str) -> str:
    """What a page gives as commands: code between backticks, and blocks of shell."""
    blocks = re.findall(r"^```sh\n([\s\S]*?)^```", text, re.MULTILINE)
    return "\n".join((*re.findall(r"`[^`\n]+`", text), *blocks))


# figures


@pytest.mark.parametrize("block", figures.COMMITTED, ids=lambda block: block.name)
def test_figures__are_those_that_the_command_writes(block: figures.Block) -> None:
    assert figures.written(block) == block.text(), "run `python -m scripts.figures --write`"


# INVARIANTS.md


def test_invariants__each_id_once_and_checked_where_the_table_says() -> None:
    ids = [cells[0] for cells in rows("INVARIANTS.md")]
    assert ids == [f"I-{number:02d}" for number in range(1, len(ids) + 1)]
    assert len(ids) >= 44
    for number, *_, checked in rows("INVARIANTS.md"):
        for path in re.findall(r"`((?:tests|keeper)/[\w/]+\.py)`", checked):
            assert number in (ROOT / path).read_text(), f"{number} is not named in {path}"


def test_invariants__no_test_names_one_that_is_not_there() -> None:
    ids = {cells[0] for cells in rows("INVARIANTS.md")}
    for file in (*TESTS.rglob("*.py"), *(ROOT / "keeper").rglob("*.py")):
        if file != Path(__file__):
            assert set(re.findall(r"\bI-\d\d\b", file.read_text())) <= ids, file.name
