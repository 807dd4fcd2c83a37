"""The figures in the documents, computed from what they follow from.

    python -m scripts.figures                   # print them
    python -m scripts.figures --write           # put them where the documents have them
    python -m scripts.figures --write --demo    # and those of the last `make demo`

A block stands between `<!-- figures: name -->` and `<!-- end -->`. What follows from committed
files (the devnet's parameters, the checked-in gas file) is compared by `make test`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from math import pi, sqrt
from pathlib import Path
from typing import Any

from keeper.core import fills, funding, liquidation, margin, market
from keeper.core.exposure import liquidation_prices
from keeper.core.pricing import Value
from keeper.core.quotes import Quote
from keeper.core.terms import FillTerms, LimitTerms, RiskTerms, Terms, UnderlyingTerms
from keeper.core.types import InstrumentId, Mode
from keeper.core.units import BPS, DAY, PPM, WAD, YEAR
from scripts import bench, parameters, plan, price_paths
from scripts.build import ROOT
from scripts.parameters import Parameters

CONFIDENCE_PPM = 200  # what the devnet's reporters sign
CENT = WAD // 100


@dataclass(frozen=True, slots=True)
class Block:
    """A passage of a document that is computed."""

    name: str
    page: Path
    text: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Listed:
    """An instrument of the devnet with its terms as the setters get them."""

    name: str
    terms: Terms
    index: int  # WAD, price that it starts at

    def units(self, usd: int) -> int:
        """WAD units worth so many USD, down."""
        return usd * WAD * WAD // self.index


@cache
def devnet() -> Parameters:
    return parameters.load("devnet")


@cache
def listed() -> tuple[Listed, ...]:
    """The devnet's instruments, in the order of their ids."""
    known: defaultdict[str, str] = defaultdict(str)
    prices = {name: asset.start for name, asset in price_paths.ASSETS.items()}
    calls = [
        call for call in plan.calls(devnet(), prices, (), known) if call.target == "Instruments"
    ]
    underlyings = [call.arguments[0] for call in calls if call.function == "add_underlying"]
    instruments = [call.arguments for call in calls if call.function == "add_instrument"]
    return tuple(
        Listed(
            name,
            Terms(
                RiskTerms(*risk),
                FillTerms(*(*fill, 0)),
                LimitTerms(*limit),
                UnderlyingTerms(*underlyings[risk[1] - 1]),
            ),
            int(prices[about.underlying] * WAD),
        )
        for (name, about), (risk, fill, limit) in zip(
            devnet().instruments.items(), instruments, strict=True
        )
    )


def requirement(
    one: Listed, size: int, cost: int = 0, index: int = 0, conf_ppm: int = CONFIDENCE_PPM
) -> margin.Requirement:
    """What one position must hold, at its starting price or another."""
    return margin.requirement(
        Mode.CROSS,
        [margin.Held(InstrumentId(1), size, cost)],
        lambda _: one.terms,
        lambda _: Quote(index or one.index, conf_ppm, 0, 0),
        PPM,
    )


# RISK.md


def leverage() -> str:
    """Highest leverage of each instrument, and the room that the setters' two laws leave."""
    rows = []
    for one in listed():
        under, limit, risk = one.terms.underlying, one.terms.limit, one.terms.risk
        cost = limit.penalty_ppm + limit.lambda_ppm + one.terms.fill.taker_ppm
        about = devnet().underlyings[devnet().instruments[one.name].underlying]
        band = int(about.band_percent * 10_000)
        tail = int(about.tail_percent * 10_000)
        initial = under.factor_ppm * under.shock_ppm // PPM + -(-risk.funding_cap_ppm_per_day // 3)
        real = requirement(one, one.units(10_000)).initial
        rows.append(
            [
                one.name,
                percent(under.shock_ppm),
                percent(initial),
                f"{Decimal(PPM) / initial:.2f}x",
                f"{Decimal(10_000 * WAD) / real:.2f}x",
                percent(cost),
                percent((under.factor_ppm - PPM) * under.shock_ppm // PPM - cost - band),
                percent(under.shock_ppm - cost - tail),
            ]
        )
    return table(
        "instrument | shock | plain initial | highest leverage | of 10,000 USD | penalty + λ + fee "
        "| room above band | room above tail",
        rows,
    )


def worked() -> str:
    """One account from its opening to its liquidation, to the cent."""
    one = listed()[0]
    terms, index = one.terms, one.index
    policy = devnet().calls
    size, cash = WAD, 6_000 * WAD
    depth = terms.fill.depth_wad
    cost = fills.notional(index, index, size, 0, depth)
    fee = fills.trading_fee(terms, index, size, 0)
    gap = fills.opening_gap_fee(terms, index, size)
    cash -= fee + gap
    need = requirement(one, size, cost)
    opened = [
        ["notional", usd(index)],
        ["premium on the way, from a flat market", usd(cost - index)],
        ["taker fee; gap fee of a day", f"{usd(fee)}; {usd(gap)}"],
        ["scan loss: notional × shock", usd(margin.scan_loss(size, index, shock(one)))],
        ["funding provision of 8 h", usd(margin.provision(size, index, terms))],
        ["flat reserve", usd(terms.risk.reserve_wad)],
        ["**maintenance**", usd(need.maintenance)],
        ["**plain initial**: factor × scan loss + add-ons", usd(need.plain_initial)],
        ["**initial**: with confidence", usd(need.initial)],
        ["equity: cash + size × θ − cost", usd(cash + need.upnl)],
    ]

    def equity(tick: int) -> int:
        return cash + requirement(one, size, cost, tick * CENT).upnl

    def first_below(line: Callable[[margin.Requirement], int]) -> int:
        found = liquidation_prices(
            lambda tick: equity(tick) - line(requirement(one, size, cost, tick * CENT)),
            index // CENT,
        ).below
        assert found is not None
        return found

    call_ppm, hard_ppm = (
        int(value * 10_000) for value in (policy.call_line_percent, policy.hard_level_percent)
    )
    lines = {
        "called below": lambda r: (
            r.maintenance + -(-(r.plain_initial - r.maintenance) * call_ppm // PPM)
        ),
        f"liquidatable after {policy.grace_cross_seconds} s of grace (cross), at once (isolated)": (
            lambda r: r.maintenance
        ),
        "liquidatable at once, also cross": lambda r: -(-r.maintenance * hard_ppm // PPM),
        "liquidated whole": lambda r: -(-r.maintenance // 2),
    }
    ticks = {name: first_below(line) for name, line in lines.items()}
    called = [[name, usd(tick * CENT)] for name, tick in ticks.items()]

    tick = list(ticks.values())[1]
    price = tick * CENT
    need = requirement(one, size, cost, price)
    before = cash + need.upnl
    assessed = liquidation.Assessment(
        before, before, need.maintenance, need.plain_initial, need.initial
    )
    closed = liquidation.closing_size(assessed, size, price, price, terms, 1 << 255)
    paid = liquidation.charges(before, price, -closed, size, terms)
    spread = fills.forced_charge(price, -closed, terms.limit.lambda_ppm)
    left = before - spread - paid.fee - paid.penalty
    after = requirement(one, size - closed, 0, price)
    sold = [
        ["price", usd(price)],
        ["equity; maintenance", f"{usd(before)}; {usd(need.maintenance)}"],
        ["shortage to plain initial", usd(need.plain_initial - before)],
        ["closed", f"{Decimal(closed) / WAD:.6f} BTC"],
        ["λ to the pool", usd(spread)],
        ["fee", usd(paid.fee)],
        [
            "penalty: liquidator; insurance",
            f"{usd(paid.reward)}; {usd(paid.penalty - paid.reward)}",
        ],
        ["equity after; plain initial after", f"{usd(left)}; {usd(after.plain_initial)}"],
    ]
    return "\n\n".join(
        (
            table(f"long 1 BTC at {usd(index)}, {usd(6_000 * WAD)} cash | USD", opened),
            table("at a price of, and no higher | USD", called),
            table("liquidation at the second of them | ", sold),
        )
    )


def shock(one: Listed) -> int:
    return one.terms.underlying.shock_ppm


def concentration() -> str:
    """What size beyond the liquidity bound costs in margin."""
    rows = []
    for one in listed():
        bound = one.terms.underlying.liquidity_usd
        cells = [one.name, f"{bound:,}"]
        for times in (1, 2, 3):
            need = requirement(one, one.units(times * bound), conf_ppm=0)
            cells.append(f"{Decimal(times * bound * WAD) / need.plain_initial:.2f}x")
        rows.append(cells)
    return table("instrument | liquidity bound, USD | leverage at it | at twice | at thrice", rows)


def premium() -> str:
    """What the premium may reach, what funding makes of it, and what the order of fills costs."""
    rows = []
    for one in listed():
        terms, index = one.terms, one.index
        depth = terms.fill.depth_wad
        first = one.units(100_000)
        alone = fills.notional(index, index, first, 0, depth)
        second = fills.notional(index, index, first, first, depth)
        limit = terms.limit
        kept = limit.lambda_ppm + limit.penalty_ppm * (BPS - limit.liquidator_bps) // BPS
        cap_ppm = terms.risk.funding_cap_ppm_per_day
        binds = cap_ppm * terms.risk.period_seconds // DAY
        at_cap = Value(index, index)
        above = depth * (binds + 1) // PPM
        rate = funding.funding_rate(terms, at_cap, index, above)
        assert rate == index * cap_ppm // (PPM * DAY)
        rows.append(
            [
                one.name,
                percent(terms.fill.premium_max_ppm),
                percent(Decimal(limit.oi_cap_wad * PPM) / depth),
                percent(kept),
                percent(binds),
                percent(cap_ppm),
                f"{usd(second - alone)}, {Decimal(10_000 * (second - alone)) / alone:.1f} bp",
            ]
        )
    return table(
        "instrument | premium at most | at full open interest | the setters allow "
        "| funding's cap binds from | cap a day "
        "| 100,000 USD filled after 100,000 of the same side instead of before",
        rows,
    )


def lateness() -> str:
    """The lapse charge against what an option over the window is worth."""
    orders = devnet().orders
    seconds = orders.delay_seconds + orders.window_seconds
    rows = []
    for one in listed():
        charge = max(one.terms.fill.lapse_ppm, one.terms.fill.taker_ppm)
        even = charge / PPM / sqrt(seconds / YEAR) * sqrt(2 * pi)
        worth = [sigma * sqrt(seconds / YEAR / (2 * pi)) for sigma in (0.5, 1.0, 2.0)]
        shown = [f"{100 * value:.3f} %" for value in worth]
        rows.append([one.name, percent(charge), *shown, f"{100 * even:.0f} %"])
    return table(
        f"instrument | lapse charge | option over {seconds} s at σ = 50 % | at 100 % | at 200 % "
        "| worth the charge at σ =",
        rows,
    )


def pool() -> str:
    """What the pool must hold with the premium of every instrument at its bound."""
    rows, total = [], 0
    for one in listed():
        net = one.terms.fill.depth_wad * one.terms.fill.premium_max_ppm // PPM
        need = margin.pool_requirement(net, one.index, one.terms.underlying)
        total += need
        worth = net * one.index // WAD
        reserve = market.reserve(one.index, one.terms.fill.depth_wad, net, net)
        rows.append([one.name, usd(worth), usd(need), usd(reserve)])
    factor = devnet().pool.margin_factor
    rows.append(["all, at once", "", usd(total), ""])
    rows.append([f"NAV that this asks for, × {factor}", "", usd(int(total * factor)), ""])
    return table(
        "instrument | net size at the bound, USD | requirement | premium reserve at it", rows
    )


def reporters() -> str:
    """What so many lying reporters can do, with the devnet's quorum."""
    oracle = devnet().oracle
    n, k = oracle.reporters, oracle.quorum
    widths = sorted({feed.width_percent for feed in devnet().feeds.values()})
    width = f"the width, {' or '.join(f'{one} %' for one in widths)}"
    rows = []
    for liars in range(1, k + 1):
        inside = liars <= (k - 1) // 2
        rows.append(
            [
                str(liars),
                "at will" if liars >= k else "not beyond an honest report" if inside else width,
                "at will" if liars >= k else width,
                "yes",
                "yes" if liars > n - k else "no",
            ]
        )
    return table(
        f"of {n}, quorum {k} | move the stored price | move a fill's price "
        "| make a slot too unsure for new risk | stop all prices by silence",
        rows,
    )


# README.md


def gas() -> str:
    """The checked-in gas of each act."""
    measured = json.loads(bench.CHECKED_IN.read_text())
    rows = []
    for act, (target, what) in bench.ACTS.items():
        seen = [f"{measured[evm][act]:,}" for evm in ("cancun", "shanghai")]
        rows.append([f"{act.replace('_', ' ')}: {what}", *seen, f"{target:,}" if target else ""])
    return table("act | cancun | shanghai | target (cancun)", rows)


# keys of build/demo.json, and what they say
_DEMO = {
    "blocks": "blocks",
    "prices_applied": "price slots posted and applied",
    "orders_executed": "orders executed",
    "funding_updates": "funding updates",
    "margin_calls": "margin calls",
    "liquidations": "liquidations",
    "accounts_liquidated": "accounts liquidated",
    "bad_debt": "bad debt, USD",
    "insurance_before": "insurance before, USD",
    "insurance_after": "insurance after, USD",
    "pool_nav_before": "pool's NAV before, USD",
    "pool_nav_after": "pool's NAV after, USD",
    "ledger_difference": "tokens held less what the ledger adds up to",
    "reference_drift": "contracts less reference model, largest difference",
    "withdrawn_everything": "everybody out, nothing left but insurance, fees and named dust",
}


def demo() -> str:
    """The last run of `make demo`."""
    told = json.loads((ROOT / "build" / "demo.json").read_text())
    rows = [[says, _shown(told[key])] for key, says in _DEMO.items()]
    latency = told["keeper_latency_ms"]
    rows.append(
        ["keeper: from a price seen to the transaction signed for it, p50; p99",
         f"{latency['p50']:.0f} ms; {latency['p99']:.0f} ms"]
    )  # fmt: skip
    return table(f"one run of the story on {told['node']} | ", rows)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.2f}".removesuffix(".00") if isinstance(value, float) else f"{value:,}"


RISK = ROOT / "docs" / "RISK.md"
README = ROOT / "README.md"

COMMITTED = (
    Block("leverage", RISK, leverage),
    Block("worked", RISK, worked),
    Block("concentration", RISK, concentration),
    Block("premium", RISK, premium),
    Block("lateness", RISK, lateness),
    Block("pool", RISK, pool),
    Block("reporters", RISK, reporters),
    Block("gas", README, gas),
)
OF_A_RUN = (Block("demo", README, demo),)


# text


def usd(amount: int) -> str:
    """WAD as dollars and cents, half even."""
    return f"{Decimal(amount) / WAD:,.2f}"


def percent(ppm: int | Decimal) -> str:
    return f"{Decimal(ppm) / 10_000:.4f}".rstrip("0").rstrip(".") + " %"


def table(head: str, rows: Iterable[Sequence[str]]) -> str:
    """A table of a Markdown page; columns of the head are divided by `|`."""
    names = [name.strip() for name in head.split("|")]
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _passage(block: Block) -> re.Pattern[str]:
    return re.compile(
        rf"(?<=<!-- figures: {re.escape(block.name)} -->\n)[\s\S]*?(?=\n<!-- end -->)"
    )


def written(block: Block) -> str:
    """What the document has; LookupError when it has no such block."""
    found = _passage(block).search(block.page.read_text())
    if found is None:
        raise LookupError(f"{block.page.name} has no block {block.name!r}")
    return found.group()


def write(block: Block) -> None:
    """Put the block into its document."""
    text: Any = block.text()
    block.page.write_text(_passage(block).sub(lambda _: text, block.page.read_text(), count=1))


def main() -> int:
    """Print or write the blocks; 1 when there is no run to tell of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="write them into the documents")
    parser.add_argument("--demo", action="store_true", help="also those of the last `make demo`")
    arguments = parser.parse_args()
    for block in (*COMMITTED, *OF_A_RUN) if arguments.demo else COMMITTED:
        try:
            if arguments.write:
                write(block)
            else:
                print(f"{block.page.relative_to(ROOT)}: {block.name}\n\n{block.text()}\n")
        except FileNotFoundError as error:
            print(f"{block.name}: no {error.filename}: run `make demo` first", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
