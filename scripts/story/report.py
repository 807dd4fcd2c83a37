"""One story as one self-contained page: pictures first, then the tables behind them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from scripts.story.record import Liquidation, Moment, Record
from scripts.story.svg import Plot, Point, Scale, clock, ticks, time_ticks

_STYLE = Path(__file__).with_name("page.css")

HEALTH_SHOWN = (0.3, 20.0)  # beyond it an account is drawn at the edge


def render(record: Record) -> str:
    """The page, with its style and pictures inside: it loads nothing."""
    sections = [
        _head(record),
        _prices(record),
        _health(record),
        _funding(record),
        _pool(record),
        _tables(record),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Ballast: {escape(record.title)}</title>\n<style>\n{_STYLE.read_text()}</style>"
        f"</head><body><main>\n{''.join(sections)}</main></body></html>\n"
    )


def money(amount: float, places: int = 0) -> str:
    """12345.6 is $12,346; negative amounts carry a minus sign."""
    sign = "−" if round(amount, places) < 0 else ""
    return f"{sign}${abs(amount):,.{places}f}"


def short_money(amount: float) -> str:
    """For axes: $1.25M, $340k, $85."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(amount) >= size:
            return f"${amount / size:.4g}{unit}"
    return f"${amount:.4g}"


# -- head -------------------------------------------------------------------------------------


def _head(record: Record) -> str:
    figures = record.figures
    closed = len({event.account for event in record.liquidations})
    latency = figures["keeper_latency_ms"]
    assert isinstance(latency, dict)
    tiles: list[tuple[str, str, str]] = [
        (f"{len(record.accounts)}", "accounts", ""),
        (f"{closed}", f"liquidated, in {len(record.liquidations)} fills", ""),
        (f"{figures['margin_calls']}", "margin calls", ""),
        (f"{figures['orders_executed']}", "orders executed", ""),
        (money(float(str(figures["bad_debt"]))), "bad debt", ""),
        _verdict(figures["ledger_difference"], "ledger difference"),
        _verdict(figures["reference_drift"], "drift from the reference"),
        (f"{latency['p50']:.0f} / {latency['p99']:.0f} ms", "keeper latency, p50 / p99", ""),
        _verdict(not figures["withdrawn_everything"], "left behind", "nothing", "something"),
    ]
    items = "".join(
        f'<li class="{kind}"><b>{escape(value)}</b><span>{escape(name)}</span></li>'
        for value, name, kind in tiles
    )
    notes = "".join(f'<p class="soft">{escape(note)}</p>' for note in record.notes)
    return (
        f"<h1>{escape(record.title)}</h1>"
        f'<p class="soft">Every transaction below happened on {escape(record.network)}, from the '
        "deployment of the contracts to the last withdrawal, with the keeper running beside it."
        f'</p>{notes}<ul class="figures">{items}</ul>'
    )


def _verdict(
    difference: object, name: str, fine: str = "0", wrong: str = ""
) -> tuple[str, str, str]:
    """A tile for something that has to be exactly zero."""
    return (wrong or str(difference), name, "bad") if difference else (fine, name, "good")


# -- pictures ---------------------------------------------------------------------------------


def _span(moments: Sequence[Moment]) -> Scale:
    return Scale(0.0, max(1.0, float(moments[-1].seconds)))


def _figure(caption: str, pictures: Iterable[str]) -> str:
    return f"<figure><figcaption>{caption}</figcaption>{''.join(pictures)}</figure>"


def _prices(record: Record) -> str:
    panels = []
    largest = max((event.notional for event in record.liquidations), default=1.0)
    for asset in record.moments[0].prices:
        points = [(float(m.seconds), m.prices[asset]) for m in record.moments]
        plot = Plot(_span(record.moments), Scale.around([price for _, price in points]), 190)
        plot.axes(ticks(plot.y.low, plot.y.high, 4), short_money, time_ticks(plot.x.high))
        plot.line(points, "price")
        events = [event for event in record.liquidations if event.asset == asset]
        for event in sorted(events, key=lambda event: -event.notional):
            radius = 2.5 + 6.5 * math.sqrt(event.notional / largest)
            kind = "long" if event.long else "short"
            plot.dot((event.seconds, event.price), radius, kind, _event_text(event))
        fall = min(price for _, price in points) / points[0][1] - 1
        caption = (
            f"<b>{escape(asset)}</b> {fall:+.1%} at the bottom, {len(events)} liquidations"
            '<span class="key long"></span>of a long<span class="key short"></span>of a short'
        )
        panels.append(_figure(caption, [plot.render(f"{asset} price and liquidations")]))
    return (
        "<h2>Prices, and who was liquidated at them</h2>"
        '<p class="soft">A dot is a liquidation; its area is the notional closed. Point at one to '
        "see the account.</p>" + "".join(panels)
    )


def _event_text(event: Liquidation) -> str:
    side = "long" if event.long else "short"
    part = "closed whole" if event.whole else "reduced"
    return (
        f"{clock(event.seconds)}  {event.account}: {side} {event.instrument} {part}, "
        f"{money(event.notional)} at {money(event.price, 2)}, health {event.health:.3f}"
    )


def _health(record: Record) -> str:
    first: dict[str, Liquidation] = {}
    for event in record.liquidations:
        first.setdefault(event.account, event)
    called = {call.account for call in record.calls}
    plot = Plot(_span(record.moments), Scale(*HEALTH_SHOWN, log=True), 320)
    plot.axes([0.5, 1, 2, 3, 5, 10, 20], lambda h: f"{h:g}", time_ticks(plot.x.high))
    lines: dict[str, list[Point]] = {}
    for moment in record.moments:
        for account, health in moment.health.items():
            lines.setdefault(account, []).append((float(moment.seconds), health))
    kinds = {a: "liquidated" if a in first else "called" if a in called else "calm" for a in lines}
    for kind in ("calm", "called", "liquidated"):
        for account in (a for a in lines if kinds[a] == kind):
            plot.line(lines[account], kind, account)
    plot.level(1.0, "bad", "maintenance margin")
    for event in record.liquidations:
        plot.dot((event.seconds, event.health), 3.0, "liquidated", _event_text(event))
    for call in record.calls:
        plot.tick_mark(call.seconds, "called", f"{clock(call.seconds)}  {call.account} called")
    caption = (
        "<b>Health</b> equity over maintenance margin, one line per account, log scale"
        '<span class="key stroke liquidated"></span>liquidated'
        '<span class="key stroke called"></span>called, then safe'
        '<span class="key stroke calm"></span>never called'
    )
    return (
        "<h2>Health of every account</h2>"
        '<p class="soft">Below the call line an account is called (strokes on the time '
        "axis); below 1 it is closed as far as needed, at once or after its grace.</p>"
        + _figure(caption, [plot.render("health of accounts over time")])
    )


def _funding(record: Record) -> str:
    instruments = list(record.moments[0].funding)
    values = [m.funding[i] for m in record.moments for i in instruments]
    rates = Plot(_span(record.moments), Scale.around([*values, 0.0]), 200)
    rates.axes(ticks(rates.y.low, rates.y.high, 4), lambda v: f"{v:g}%", time_ticks(rates.x.high))
    sizes = [m.net_usd[i] for m in record.moments for i in instruments]
    net = Plot(_span(record.moments), Scale.around([*sizes, 0.0]), 200)
    net.axes(ticks(net.y.low, net.y.high, 4), short_money, time_ticks(net.x.high))
    for name in instruments:
        kind = name.partition("-")[0].lower()
        rates.line([(m.seconds, m.funding[name]) for m in record.moments], kind, name, stairs=True)
        net.line([(m.seconds, m.net_usd[name]) for m in record.moments], kind, name, stairs=True)
    keys = "".join(
        f'<span class="key stroke {n.partition("-")[0].lower()}"></span>{escape(n)}'
        for n in instruments
    )
    return (
        "<h2>Funding</h2>"
        '<p class="soft">Who is many pays who is few: above zero longs pay shorts. It follows from '
        "the net size that the pool is on the other side of; what was closed by force enters it "
        "slowly.</p>"
        + _figure(f"<b>Funding rate</b>, per day{keys}", [rates.render("funding rate")])
        + _figure("<b>Longs less shorts</b>, USD", [net.render("net size of each instrument")])
    )


def _pool(record: Record) -> str:
    panels = []
    for name, kind, values in (
        ("Liquidity pool, net asset value", "nav", [m.nav for m in record.moments]),
        ("Insurance", "insurance", [m.insurance for m in record.moments]),
    ):
        points = [(float(m.seconds), v) for m, v in zip(record.moments, values, strict=True)]
        plot = Plot(_span(record.moments), Scale.around(values), 170)
        plot.axes(ticks(plot.y.low, plot.y.high, 4), short_money, time_ticks(plot.x.high))
        plot.area(points, kind).line(points, kind)
        caption = f"<b>{name}</b> {money(values[0])} at first, {money(values[-1])} at last"
        panels.append(_figure(caption, [plot.render(name)]))
    return (
        "<h2>Pool and insurance</h2>"
        '<p class="soft">The pool is the other side of every position. Insurance lives from fees '
        "and penalties and pays what an account cannot.</p>" + "".join(panels)
    )


# -- tables -----------------------------------------------------------------------------------


def _tables(record: Record) -> str:
    liquidations = _table(
        "Time:|Account|Position|Closed:|Price:|Health:|",
        [
            [
                clock(event.seconds),
                event.account,
                f"{'long' if event.long else 'short'} {event.instrument}",
                money(event.notional),
                money(event.price, 2),
                f"{event.health:.3f}",
                "whole" if event.whole else "part",
            ]
            for event in record.liquidations
        ],
    )
    accounts = _table(
        "Account|Mode|Traded|Leverage:|Collateral|Put in:|Taken out:|Result:|Outcome",
        [
            [
                line.account,
                line.mode,
                line.opened,
                f"{line.leverage:.1f}x",
                line.collateral,
                money(line.put_in),
                money(line.taken_out),
                money(line.taken_out - line.put_in),
                line.outcome,
            ]
            for line in record.accounts
        ],
    )
    figures = _table(
        "Figure|Value:",
        [
            [name.replace("_", " "), _plain(value)]
            for name, value in record.figures.items()
            if name != "gas"
        ],
    )
    gas = record.figures["gas"]
    assert isinstance(gas, dict)
    burnt = _table(
        "Act|Gas:", [[name.replace("_", " "), f"{used:,}"] for name, used in gas.items()]
    )
    return (
        f"<h2>Every account</h2>{accounts}"
        f"<details><summary>All {len(record.liquidations)} liquidations</summary>{liquidations}"
        f"</details><h2>Figures</h2>{figures}"
        f"<details><summary>Gas of the acts as they happened here, of a batch per item</summary>"
        f"{burnt}</details>"
    )


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}"
    return str(value)


def _table(header: str, rows: list[list[str]]) -> str:
    """A table; columns whose name ends in a colon hold numbers."""
    names = header.split("|")
    kinds = [' class="n"' if name.endswith(":") else "" for name in names]
    top = "".join(f"<th{k}>{escape(n.rstrip(':'))}</th>" for n, k in zip(names, kinds, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{k}>{escape(cell)}</td>" for cell, k in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'
