"""The story in one command: `make demo`, or `make demo NODE=anvil PRICES=path.csv`.

A chain of its own, the contracts, liquidity, 72 accounts, a crash with the keeper beside it, and
everybody out again. Writes build/demo.json and build/demo.html; ends with an error if a single
unit went astray.

    NODE     ganache (default) or anvil
    PRICES   path.csv in long form (time,asset,price), or "BTC=bars.csv ETH=bars.csv.gz"
    STEPS    prices that the keeper posts (default 80)
    SEED     of the generated paths (default 7)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from scripts import nodes, price_paths
from scripts.nodes import ROOT
from scripts.parameters import ParameterError
from scripts.price_paths import BarOrder, PathError
from scripts.story import report, tell, troupe
from scripts.story.record import Record
from scripts.story.troupe import Telling, TellingError

STEPS = 80
SEED = 7
FIGURES = ROOT / "build" / "demo.json"
PAGE = ROOT / "build" / "demo.html"

FAILED = 1  # the story did not end as it must, or something stood in its way
INTERRUPTED = 130
QUIET_SECONDS = 10.0


class Retold(NamedTuple):
    """A telling, and the order of a bar's extremes that it plays."""

    telling: Telling
    order: BarOrder | None


def main() -> int:
    """Tell the story of the command line; 0 when everything came out as it must."""
    options = _options()
    console = Console(highlight=False)
    started = time.monotonic()
    try:
        retold = _tellings(options)
        records = _tell(console, retold)
    except (PathError, ParameterError, TellingError, nodes.NodeError) as error:
        Console(stderr=True, highlight=False).print(str(error), style="bold", markup=False)
        return FAILED
    except KeyboardInterrupt:
        console.print("\nstopped; nothing was left running")
        return INTERRUPTED
    record = _worse(records, [order for _, order in retold])
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


def _tellings(options: argparse.Namespace) -> list[Retold]:
    """Bars are played twice, since they do not say whether high or low came first."""
    if options.node not in nodes.KINDS:
        raise nodes.NodeError(f"NODE={options.node}: use {' or '.join(nodes.KINDS)}")
    steps, seed = _whole("STEPS", options.steps), _whole("SEED", options.seed)
    if not options.prices:
        path = price_paths.generate(seed=seed, steps=steps)
        title = f"A generated crash (seed {seed})"
        return [Retold(Telling(options.node, options.node, path, title), None)]
    title = "A replay of " + " and ".join(_names(options.prices))
    retold = []
    for order in price_paths.orders(options.prices):
        path = price_paths.replay(options.prices, order, steps=steps, seed=seed)
        place = f"{options.node}-{order.replace(' ', '-')}" if order else options.node
        retold.append(Retold(Telling(options.node, place, path, title), order))
    return retold


def _names(specification: str) -> list[str]:
    """The files of PRICES as a title names them."""
    words = (word.rpartition("=") for word in specification.split())
    names = ((asset, path.rpartition("/")[2]) for asset, _, path in words)
    return [f"{asset} ({name})" if asset else name for asset, name in names]


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


def _tell(console: Console, retold: list[Retold]) -> list[Record]:
    """All tellings at once, with a bar for each."""
    bar = Progress(
        TextColumn("[bold]{task.percentage:>3.0f}%"),
        BarColumn(bar_width=28),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    )
    for telling, order in retold:
        how = f", {order} in every bar" if order else ""
        steps = telling.path.steps
        console.print(f"[bold]{telling.title}[/bold]{how}: {steps} prices, on {telling.node}")
    with bar:
        tasks = [bar.add_task("", total=tell.work(telling.path)) for telling, _ in retold]
        spoken = 0.0

        def report(number: int, what: str, done: int) -> None:
            nonlocal spoken
            bar.update(tasks[number], advance=done, description=what)
            # where no terminal shows the bars, words come as lines, one every few seconds
            if not console.is_terminal and time.monotonic() - spoken > QUIET_SECONDS:
                spoken = time.monotonic()
                console.print(what, markup=False)

        records = troupe.tell_all([telling for telling, _ in retold], report)
    for record, (_, order) in zip(records, retold, strict=True):
        if order:
            record.notes.append(f"Replayed with the {order} in every bar.")
    return records


def _worse(records: list[Record], orders: list[BarOrder | None]) -> Record:
    """The telling with more bad debt, more liquidated accounts, less left to the pool."""

    def harm(record: Record) -> tuple[float, ...]:
        figures: dict[str, Any] = record.figures
        return figures["bad_debt"], figures["accounts_liquidated"], -figures["pool_nav_after"]

    worst = max(range(len(records)), key=lambda i: harm(records[i]))
    record = records[worst]
    for other, order in zip(records, orders, strict=True):
        if other is not record:
            figures: dict[str, Any] = other.figures
            record.notes.append(
                f"The milder telling, {order}: {figures['accounts_liquidated']} accounts "
                f"liquidated, bad debt {report.money(figures['bad_debt'])}, ledger difference "
                f"{figures['ledger_difference']}, drift {figures['reference_drift']}."
            )
            # what must be exact has to be so in both
            for name in ("ledger_difference", "reference_drift"):
                record.figures[name] = max(record.figures[name], figures[name], key=abs)
            record.figures["withdrawn_everything"] &= figures["withdrawn_everything"]
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
