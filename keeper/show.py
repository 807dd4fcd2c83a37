"""What commands print: tables for people, one JSON value for programs."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table

from keeper.core import plan
from keeper.core.index import Index
from keeper.core.units import WAD
from keeper.doctor import Check, Mark
from keeper.edges.addresses import AddressBook
from keeper.edges.store import Store

WIDTH = 110  # of tables, at least: a row is no use when its figures are cut
_STYLES = {Mark.OK: "green", Mark.WARNING: "yellow", Mark.FAILED: "red"}


def as_json(value: Any) -> None:
    """One JSON value on standard output."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def checks(found: Sequence[Check]) -> None:
    """The doctor's lines."""
    console = Console(soft_wrap=True, highlight=False)
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        fix = f"  → {one.fix}" if one.fix and one.mark is not Mark.OK else ""
        mark = f"[{_STYLES[one.mark]}]{one.mark:<7}[/]"
        console.print(mark, escape(f"{one.name:<{width}}  {one.found}{fix}"))


def fields(found: Mapping[str, Any]) -> None:
    """Named values, one a line; of a list how many there are."""
    table = Table(box=None, show_header=False)
    for name, value in found.items():
        for part, one in value.items() if isinstance(value, dict) else [("", value)]:
            shown = f"{len(one)} of them, with --json" if isinstance(one, list) else str(one)
            table.add_row(f"{name} {part}".strip(), escape(shown))
    Console(width=max(Console().width, WIDTH)).print(table)


def nearest(index: Index, book: AddressBook, limit: int) -> list[dict[str, Any]]:
    """Accounts nearest to their line, as JSON holds them; money in USD, to the cent."""
    rows = []
    for one in plan.survey(index):
        record = index.accounts[one.account]
        health = one.equity / one.maintenance if one.maintenance else None
        rows.append(
            {
                "account": "0x" + one.account.hex(),
                "health": None if health is None else round(health, 4),
                "equity_usd": round(one.equity / WAD, 2),
                "maintenance_usd": round(one.maintenance / WAD, 2),
                "debt_usd": round(one.debt / WAD, 2),
                "called": one.called,
                "liquidatable": one.liquidatable,
                "positions": [
                    {
                        "instrument": book.instrument_name(instrument),
                        "size": index.positions[one.account, instrument].size / WAD,
                    }
                    for instrument in record.book
                ],
            }
        )
    rows.sort(key=lambda row: float("inf") if row["health"] is None else row["health"])
    return rows[:limit]


def scan(rows: Iterable[dict[str, Any]]) -> None:
    """The table of `keeper scan`."""
    table = Table(box=None)
    for name in ("account", "health", "equity", "maintenance", "debt", "state", "positions"):
        justify: JustifyMethod = "right" if name in _MONEY else "left"
        table.add_column(name, justify=justify, no_wrap=name != "positions")
    for row in rows:
        state = "liquidatable" if row["liquidatable"] else "called" if row["called"] else ""
        held = ", ".join(f"{one['size']:+g} {one['instrument']}" for one in row["positions"])
        health = "-" if row["health"] is None else f"{row['health']:.3f}"
        table.add_row(
            _short(row["account"]), health, f"{row['equity_usd']:,.2f}",
            f"{row['maintenance_usd']:,.2f}", f"{row['debt_usd']:,.2f}", state, held,
        )  # fmt: skip
    Console(width=max(Console().width, WIDTH)).print(table)


_MONEY = ("health", "equity", "maintenance", "debt")


def _short(account: str) -> str:
    """An account as owner and bucket, the owner abbreviated."""
    owner, bucket = account[:42], int(account[42:], 16)
    return f"{owner[:8]}…{owner[-4:]}/{bucket}"


def status_of(store: Store) -> dict[str, Any]:
    """What a store says of its keeper, as JSON holds it."""
    progress = json.loads(store.get("progress") or "{}")
    latencies = store.latencies()
    every = [one for values in latencies.values() for one in values]
    return {
        "progress": progress,
        "intents": store.counts(),
        "latency_ms": {
            **{kind: _quantiles(values) for kind, values in sorted(latencies.items())},
            "all": _quantiles(every),
        },
    }


def _quantiles(values: Sequence[float]) -> dict[str, float | int]:
    """p50 and p99 by rank, and how many."""
    if not values:
        return {"count": 0}
    ordered = sorted(values)
    rank = min(len(ordered) - 1, -(-99 * len(ordered) // 100) - 1)
    return {
        "count": len(ordered),
        "p50": round(statistics.median(ordered), 2),
        "p99": round(ordered[rank], 2),
    }


def status(found: dict[str, Any]) -> None:
    """The tables of `keeper status`."""
    console, progress = Console(), found["progress"]
    if not progress:
        console.print("This store has seen no run yet.")
        return
    mode = "dry run" if progress["dry_run"] else "live"
    console.print(
        f"{mode}, indexed to block {progress['indexed']} of {progress['head']}, "
        f"{progress['in_flight']} in flight"
    )
    console.print(
        f"ledger difference {progress['ledger_difference']}, reference drift "
        f"{progress['reference_drift']} ({progress['audited']} accounts compared)"
    )
    table = Table(box=None)
    for name in ("kind", "intents", "p50 ms", "p99 ms"):
        table.add_column(name)
    for kind, counts in sorted(found["intents"].items()):
        shown = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
        times = found["latency_ms"].get(kind, {})
        table.add_row(kind, shown, str(times.get("p50", "-")), str(times.get("p99", "-")))
    console.print(table)
