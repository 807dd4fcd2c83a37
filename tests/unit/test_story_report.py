"""The story's page: charts keep their points inside, and nothing on it comes from elsewhere."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from scripts import price_paths
from scripts.story.record import AccountLine, Call, Liquidation, Moment, Record
from scripts.story.report import money, render, short_money
from scripts.story.svg import Plot, Scale, clock, ticks, time_ticks

LEVERAGES = {"alice:0": 12.0, "bob:1": 5.0, "<carol>": 2.0}


def example() -> Record:
    """Three longs of BTC through a generated crash; their health follows from the price."""
    path = price_paths.generate(seed=3, steps=40)
    record = Record("A crash & a <recovery>", "anvil")
    start = float(path.prices["BTC"][0])
    gone: set[str] = set()
    for step, seconds in enumerate(path.seconds):
        prices = {asset: float(price) for asset, price in path.at(step).items()}
        move = prices["BTC"] / start - 1
        health = {name: (1 / lever + move) / 0.055 for name, lever in LEVERAGES.items()}
        for name in set(health) - gone:
            if health[name] < 1:
                gone.add(name)
                record.liquidations.append(
                    Liquidation(
                        seconds, step, name, "BTC-PERP", "BTC", True, 9e4, prices["BTC"],
                        health[name], True,
                    )
                )  # fmt: skip
            elif health[name] < 1.5 and name not in {call.account for call in record.calls}:
                record.calls.append(Call(seconds, name))
        record.moments.append(
            Moment(
                seconds=seconds,
                block=step,
                prices=prices,
                health={name: value for name, value in health.items() if name not in gone},
                funding={"BTC-PERP": 0.3 + move, "ETH-PERP": -0.1, "SOL-PERP": 0.0},
                net_usd={"BTC-PERP": 1e6 * (1 + move), "ETH-PERP": -2e5, "SOL-PERP": 0.0},
                nav=3e6 - 1e6 * move,
                insurance=1e4 * (1 + step),
            )
        )
    record.accounts = [
        AccountLine(name, "cross", "long BTC", lever, "2 WETH", 1e4, 9e3, "out")
        for name, lever in LEVERAGES.items()
    ]
    record.figures = {
        "margin_calls": len(record.calls),
        "orders_executed": 3,
        "bad_debt": "0",
        "ledger_difference": 0,
        "reference_drift": 0,
        "keeper_latency_ms": {"p50": 31.0, "p99": 120.5},
        "withdrawn_everything": True,
        "gas": {"deposit": 55_123},
    }
    return record


class _References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [str(v) for name, v in attributes if name in ("src", "href", "srcset")]


def test_page__stands_alone_and_shows_what_happened() -> None:
    record = example()
    assert record.liquidations
    page = render(record)
    reader = _References()
    reader.feed(page)
    assert reader.found == []
    assert not reader.tags & {"script", "link", "img", "iframe"}
    assert "url(" not in page
    assert "A crash &amp; a &lt;recovery&gt;" in page
    assert "<carol>" not in page
    assert page.count('<circle class="dot long"') == len(record.liquidations)
    assert page.count('class="line liquidated"') == len({e.account for e in record.liquidations})


def test_page__charts_are_well_formed_and_keep_inside() -> None:
    for chart in re.findall(r"<svg.*?</svg>", render(example()), re.DOTALL):
        root = ElementTree.fromstring(chart)
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        for circle in root.iter("circle"):
            assert 0 <= float(circle.attrib["cx"]) <= width
            assert 0 <= float(circle.attrib["cy"]) <= height
        for path in root.iter("path"):
            for x, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path.attrib["d"]):
                assert 0 <= float(x) <= width
                assert 0 <= float(y) <= height


def test_page__something_left_behind__is_marked() -> None:
    record = example()
    record.figures |= {"ledger_difference": 7, "withdrawn_everything": False}
    page = render(record)
    assert '<li class="bad"><b>7</b><span>ledger difference</span>' in page
    assert '<li class="bad"><b>something</b>' in page


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (42_000, 61_000, [45_000, 50_000, 55_000, 60_000]),
        (-0.3, 0.2, [-0.3, -0.2, -0.1, 0, 0.1, 0.2]),
    ],
)
def test_ticks__round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_time__in_words() -> None:
    assert time_ticks(8505) == [0, 1800, 3600, 5400, 7200]
    assert time_ticks(2_591_100)[:3] == [0, 432_000, 864_000]
    assert time_ticks(10**8)[-1] <= 10**8
    assert [clock(s) for s in (0, 75, 5400, 190_800)] == ["0:00", "0:01", "1:30", "2d 5h"]


def test_money__in_words() -> None:
    assert money(12345.6) == "$12,346"
    assert money(-0.2) == "$0"
    assert money(-1234.5, 2) == "−$1,234.50"
    assert [short_money(x) for x in (1.25e6, 340e3, 85, -2e3)] == ["$1.25M", "$340k", "$85", "$-2k"]


def test_scale__equal_values_and_values_outside() -> None:
    flat = Scale.around([5.0, 5.0])
    assert flat.share(5.0) == pytest.approx(0.5)
    log = Scale(1, 100, log=True)
    assert [log.share(value) for value in (0.1, 10, 1e9)] == pytest.approx([0, 0.5, 1])


def test_line__one_point_is_still_seen() -> None:
    picture = Plot(Scale(0, 1), Scale(0, 1), 100).line([(0.5, 0.5)], "calm").render("one")
    assert re.search(r'd="M[\d.]+ [\d.]+H[\d.]+"', picture)
