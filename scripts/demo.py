"""The story in one command: `make demo`, or `make demo NODE=anvil PRICES=path.csv`.

A chain of its own, the contracts, liquidity, 72 accounts, a crash with the keeper beside it, and
everybody out again. Writes build/demo.json and build/demo.html; ends with an error if a single
unit went astray.

    NODE     ganache (default) or anvil
    PRICES   path.csv in long form (time,asset,price), or "BTC=bars.csv ETH=bars.csv.gz"
    STEPS    prices that the keeper posts (default 144)
    SEED     of the generated paths (default 7)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from scripts import nodes, price_paths
from scripts.build import CompileError
from scripts.deploy import DeploymentError
from scripts.nodes import ROOT
from scripts.parameters import ParameterError
from scripts.price_paths import BarOrder, PathError, PricePath
from scripts.story import report, tell
from scripts.story.keeper import KeeperError
from scripts.story.record import Record
from scripts.story.stage import StoryError

STEPS = 144
SEED = 7
FIGURES = ROOT / "build" / "demo.json"
PAGE = ROOT / "build" / "demo.html"

FAILED = 1  # the story did not end as it must, or something stood in its way
INTERRUPTED = 130

_Refusals = (
    nodes.NodeError,
    PathError,
    ParameterError,
    CompileError,
    DeploymentError,
    KeeperError,
    StoryError,
)


@dataclass(frozen=True, slots=True)
class Telling:
    """One path to be played, and what to call it."""

    path: PricePath
    title: str
    order: BarOrder | None


def main() -> int:
    """Tell the story of the command line; 0 when everything came out as it must."""
    options = _options()
    console = Console(highlight=False)
    started = time.monotonic()
    try:
        tellings = _tellings(options)
        records = [_tell(console, options.node, telling) for telling in tellings]
    except _Refusals as error:
        Console(stderr=True, highlight=False).print(str(error), style="bold", markup=False)
        return FAILED
    except KeyboardInterrupt:
        console.print("\nstopped; nothing was left running")
        return INTERRUPTED
    record = _worse(records, tellings)
    record.notes.append(f"The story took {time.monotonic() - started:.0f} seconds to tell.")
    FIGURES.write_text(json.dumps(record.figures, indent=2) + "\n")
    PAGE.write_text(report.render(record))
    _show(console, record, time.monotonic() - started)
    return 0 if _is_whole(record) else FAILED


def _options() -> argparse.Namespace:
    """Flags, each with its variable as the default, since make hands variables on."""
    parser = argparse.ArgumentParser(
        prog="make demo", description="The story of a crash, on a chain of its own."
    )
    parser.add_argument("--node", default=os.environ.get("NODE") or "ganache")
    parser.add_argument("--prices", default=os.environ.get("PRICES") or "")
    parser.add_argument("--steps", default=os.environ.get("STEPS") or STEPS)
    parser.add_argument("--seed", default=os.environ.get("SEED") or SEED)
    return parser.parse_args()


def _tellings(options: argparse.Namespace) -> list[Telling]:
    """Bars are played twice, since they do not say whether high or low came first."""
    steps, seed = _whole("STEPS", options.steps), _whole("SEED", options.seed)
    if not options.prices:
        path = price_paths.generate(seed=seed, steps=steps)
        return [Telling(path, f"A generated crash (seed {seed})", None)]
    return [
        Telling(
            price_paths.replay(options.prices, order, steps=steps, seed=seed),
            "A replay of " + " and ".join(_names(options.prices)),
            order,
        )
        for order in price_paths.orders(options.prices)
    ]


def _names(specification: str) -> list[str]:
    return [word.rpartition("/")[2] for word in specification.split()]


def _whole(name: str, value: object) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = -1
    if not 0 <= number <= 10_000:
        raise PathError(f"{name}={value}: expected a whole number from 0 to 10000")
    if name == "STEPS" and number < price_paths.STEPS_MIN:
        raise PathError(f"STEPS={value}: a story takes at least {price_paths.STEPS_MIN} steps")
    return number


def _tell(console: Console, node: str, telling: Telling) -> Record:
    bar = Progress(
        TextColumn("[bold]{task.percentage:>3.0f}%"),
        BarColumn(bar_width=28),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    )
    how = f", {telling.order} in every bar" if telling.order else ""
    console.print(f"[bold]{telling.title}[/bold]{how}: {telling.path.steps} prices, on {node}")
    with bar, _plain_steps(console) as speak:
        task = bar.add_task("", total=tell.work(telling.path))

        def progress(what: str, done: int) -> None:
            bar.update(task, advance=done, description=what)
            speak(what)

        record = tell.tell(node, telling.path, telling.title, progress)
    if telling.order:
        record.notes.append(f"Replayed with the {telling.order} in every bar.")
    return record


@contextmanager
def _plain_steps(console: Console) -> Any:
    """Where no terminal shows the bar, its words come as lines, one every few seconds."""
    spoken = time.monotonic()

    def speak(what: str) -> None:
        nonlocal spoken
        if not console.is_terminal and time.monotonic() - spoken > 10:
            spoken = time.monotonic()
            console.print(what, markup=False)

    callback: Callable[[str], None] = speak
    yield callback


def _worse(records: list[Record], tellings: list[Telling]) -> Record:
    """The telling with more bad debt, more liquidated accounts, less left to the pool."""

    def harm(record: Record) -> tuple[float, ...]:
        figures: dict[str, Any] = record.figures
        return figures["bad_debt"], figures["accounts_liquidated"], -figures["pool_nav_after"]

    worst = max(range(len(records)), key=lambda i: harm(records[i]))
    record = records[worst]
    for other, telling in zip(records, tellings, strict=True):
        if other is not record:
            figures: dict[str, Any] = other.figures
            record.notes.append(
                f"The milder telling, {telling.order}: {figures['accounts_liquidated']} accounts "
                f"liquidated, bad debt {report.money(figures['bad_debt'])}, ledger difference "
                f"{figures['ledger_difference']}, drift {figures['reference_drift']}."
            )
            # what must be exact has to be so in both
            for name in ("ledger_difference", "reference_drift"):
                record.figures[name] = max(record.figures[name], figures[name], key=abs)
    return record


def _is_whole(record: Record) -> bool:
    figures: dict[str, Any] = record.figures
    exact = figures["ledger_difference"] == figures["reference_drift"] == 0
    return bool(exact and figures["withdrawn_everything"])


def _show(console: Console, record: Record, seconds: float) -> None:
    figures: dict[str, Any] = record.figures
    latency = figures["keeper_latency_ms"]
    closed = figures["accounts_liquidated"]
    rows = [
        ("Accounts", f"{len(record.accounts)}, of which {closed} were liquidated"),
        ("Margin calls, liquidations", f"{figures['margin_calls']}, {figures['liquidations']}"),
        ("Liquidated although healthy", "0: each was held against the reference model"),
        ("Prices, orders", f"{figures['prices_applied']}, {figures['orders_executed']}"),
        ("Bad debt", report.money(figures["bad_debt"], 2)),
        ("Insurance", _change(figures["insurance_before"], figures["insurance_after"])),
        ("Pool", _change(figures["pool_nav_before"], figures["pool_nav_after"])),
        ("Ledger, tokens less claims", f"{figures['ledger_difference']} units of 10^-18 USD"),
        ("Contracts less reference", f"{figures['reference_drift']} units of 10^-18 USD"),
        ("Price seen to signed", f"{latency['p50']} ms median, {latency['p99']} ms at 99 %"),
        ("Everybody paid out", "yes" if figures["withdrawn_everything"] else "NO"),
    ]
    table = Table(title=record.title, title_justify="left", show_header=False)
    for name, value in rows:
        table.add_row(name, value)
    console.print(table)
    for note in record.notes:
        console.print(note, style="dim", markup=False)
    console.print(
        f"{figures['blocks']:,} blocks in {seconds:.0f} s. Pictures: {PAGE.relative_to(ROOT)}, "
        f"figures: {FIGURES.relative_to(ROOT)}"
    )


def _change(before: float, after: float) -> str:
    return f"{report.money(before)} before, {report.money(after)} after"


if __name__ == "__main__":
    sys.exit(main())
