"""Tell one story from an empty chain to the last withdrawal, and keep a record of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from statistics import quantiles
from typing import Any

from keeper.core.protocol import checks
from keeper.core.types import AccountId, InstrumentId
from keeper.core.units import MICRO, WAD
from scripts import attach, deploy, nodes, parameters, roles
from scripts.nodes import ROOT
from scripts.price_paths import PricePath
from scripts.story import cast, endow, keeper
from scripts.story.plot import Player, Plot
from scripts.story.record import AccountLine, Call, Liquidation, Moment, Record
from scripts.story.stage import Stage, StoryError
from scripts.story.witness import Witness

AUDIT_EVERY = 12  # steps of the path between two comparisons of everything
DUST_MOST = WAD // 100  # what rounding may leave behind, of everybody together

# keeper's acts whose gas belongs to one act of the gas file; gas is shared by a batch's items
_KEEPERS_ACTS = {"post": "price_post", "accrue": "funding_accrue", "pool": "pool_execute"}

Progress = Callable[[str, int], None]


def work(path: PricePath) -> int:
    """How many units of work `tell` reports in all, for a progress bar."""
    accounts = len(cast.WALLETS) * (1 + cast.ISOLATED_BUCKETS)
    return 12 + 3 * accounts + path.steps


def tell(kind: str, place: str, path: PricePath, title: str, report: Progress) -> Record:
    """Play a path on a node of its own; the node and the keeper are gone when it returns.

    place: what its address book is called, and its folder under build/demo. Raises what nodes,
    deploy, keeper and stage refuse with.
    """
    folder = ROOT / "build" / "demo" / place
    report("compiling the contracts, starting the node", 0)
    with nodes.start(kind, accounts=roles.ACCOUNTS) as node, attach.project(node) as project:
        from brownie import accounts

        report("deploying", 3)
        book = deploy.deploy(project, accounts, prices=path.at(0), network=place)
        stage = Stage(node, project, accounts, book)
        terms = parameters.load(deploy.MARKET)
        endow.keeper(stage, terms)
        witness = Witness(node.url, place)
        with keeper.running(node, place, folder) as process:
            report("the keeper runs", 3)
            instruments = stage.contracts["Instruments"]
            highest = {
                name: Decimal(instruments.max_leverage_ppm(number)) / 10**6
                for name, number in book.instruments.items()
            }
            story = Plot(stage, process, witness, terms, highest, path, report)
            teller = _Teller(story, Record(title, f"{kind} ({node.hardfork})"))
            teller.tell()
        story.leave_keeper()
        return teller.close(process)


class _Teller:
    """Plays the acts in order and writes down what happened."""

    def __init__(self, story: Plot, record: Record) -> None:
        self._story, self._record = story, record
        self._stage, self._witness = story.stage, story.witness
        self._names: dict[AccountId, str] = {}
        self._start = 0  # unix seconds, of the path's first moment
        self._opened = self._closing = 0  # blocks
        self._figures: dict[str, Any] = {}

    def tell(self) -> None:
        story, witness = self._story, self._witness
        story.enter()
        witness.look()
        before = (witness.index.lines.insurance, witness.nav())
        story.open()
        self._names = {player.account: player.role.name for player in story.players}
        witness.audit()
        self._opened = self._stage.block
        self._replay()
        self._closing = self._stage.block
        story.leave_accounts()
        witness.audit()
        self._figures |= {
            "insurance_before": before[0] / WAD,
            "insurance_after": witness.index.lines.insurance / WAD,
            "pool_nav_before": before[1] / WAD,
            "pool_nav_after": witness.nav() / WAD,
        }
        story.leave_pool()
        witness.audit()

    def _replay(self) -> None:
        """Each price of the path in its turn, then what people do about it."""
        story, path = self._story, self._story.path
        self._start = self._stage.now + 1
        for step in range(path.steps):
            moment = self._start + path.seconds[step]
            self._stage.move(story.keeper, path.at(step), moment)
            story.respond(Decimal(step) / path.steps)
            if step % AUDIT_EVERY == 0:
                self._witness.audit()
            self._note()
            closed = len({one.account for one in self._witness.index.seized})
            prices = "  ".join(f"{a} {p:,.2f}" for a, p in self._stage.prices.items())
            story.report(f"{prices}  {closed} liquidated", 1)

    def _note(self) -> None:
        witness, index = self._witness, self._witness.index
        health = {name: witness.health(account) for account, name in self._names.items()}
        numbers = {name: InstrumentId(n) for name, n in self._stage.book.instruments.items()}
        self._record.moments.append(
            Moment(
                seconds=index.now - self._start,
                block=self._stage.block,
                prices={asset: float(price) for asset, price in self._stage.prices.items()},
                health={name: value for name, value in health.items() if value is not None},
                funding={n: witness.funding_percent_per_day(i) for n, i in numbers.items()},
                net_usd={n: witness.net_usd(i) for n, i in numbers.items()},
                nav=witness.nav() / WAD,
                insurance=index.lines.insurance / WAD,
            )
        )

    def close(self, process: keeper.Keeper) -> Record:
        """The figures, once the keeper has stopped and everything is out."""
        witness, index, record = self._witness, self._witness.index, self._record
        witness.audit()
        unjust = [one for one in index.seized if not one.just]
        if unjust:
            who = self._names[unjust[0].account]
            raise StoryError(f"{who} was liquidated in block {unjust[0].block} but was healthy")
        self._note_keepers_gas(process.store)
        latencies = sorted(process.latencies())
        record.liquidations = [
            Liquidation(
                seconds=one.time - self._start,
                block=one.block,
                account=self._names[one.account],
                instrument=witness.book.instrument_name(one.instrument),
                asset=witness.book.feed_name(index.listed(one.instrument).underlying.feed),
                long=one.long,
                notional=one.size * one.price / WAD / WAD,
                price=one.price / WAD,
                health=one.health,
                whole=one.whole,
            )
            for one in index.seized
        ]
        record.calls = [Call(at - self._start, self._names[who]) for at, who in index.called]
        record.accounts = [self._line(player) for player in self._story.players]
        record.figures = {
            "network": deploy.MARKET,
            "node": self._stage.node.kind,
            "blocks": self._stage.block,
            "prices_applied": index.counts.get("PricePosted", 0),
            "orders_executed": index.executed,
            "funding_updates": index.counts.get("MarketChanged", 0),
            "margin_calls": len(index.called),
            "liquidations": len(index.seized),
            "accounts_liquidated": len({one.account for one in index.seized}),
            "bad_debt": index.deficits / WAD,
            **{name: round(value, 6) for name, value in self._figures.items()},
            "ledger_difference": witness.ledger_difference,
            "reference_drift": witness.drift,
            "keeper_latency_ms": _percentiles(latencies),
            "withdrawn_everything": not self._left_behind(),
            "gas": self._stage.gas.medians(),
        }
        record.notes.append(
            f"Held against the reference model: {witness.compared:,} assessments of accounts and "
            f"{len(index.seized)} liquidations, in {self._stage.block:,} blocks."
        )
        return record

    def _line(self, player: Player) -> AccountLine:
        closed = sum(one.account == player.account for one in self._witness.index.seized)
        outcome = [f"liquidated ({closed})"] if closed else []
        outcome += ["answered a call"] * bool(player.answered)
        outcome += ["took profit"] * player.took_profit
        outcome += ["came back"] * player.came_back
        return AccountLine(
            account=player.role.name,
            mode="cross" if player.role.cross else "isolated",
            opened=player.role.plan,
            leverage=float(player.notional / player.margin),
            collateral=player.role.backing.value,
            put_in=float(player.put_in),
            taken_out=float(player.taken_out),
            outcome=", ".join(outcome) or "held on",
        )

    def _left_behind(self) -> list[str]:
        """What is not out at the end; empty when only insurance, fees and dust remain."""
        index, stage = self._witness.index, self._stage
        pool, clearinghouse = (
            stage.contracts["LiquidityPool"],
            stage.book.contracts["Clearinghouse"],
        )
        left: list[str] = []
        for account, record in index.accounts.items():
            clean = not record.book and not record.collateral and not record.reserved
            if not clean or not 0 <= record.cash < index.parameters.scale:
                left.append(f"account {account.hex()}")
        for symbol, token in stage.tokens.items():
            holder = "Clearinghouse" if symbol == "USDC" else "Vault"
            if holder == "Vault" and token.balanceOf(stage.book.contracts[holder]):
                left.append(f"{symbol} in the Vault")
        if pool.totalSupply() or pool.escrow() or checks.escrowed(index):
            left.append("shares or escrow")
        held = stage.tokens["USDC"].balanceOf(clearinghouse) * index.parameters.scale
        dust = held - index.lines.insurance - index.lines.protocol * MICRO
        cash = sum(record.cash for _, record in index.accounts.items())
        if dust != index.lines.pool + cash or not 0 <= dust <= DUST_MOST:
            left.append(f"dust of {dust}")
        self._record.notes.append(
            f"At the end the Clearinghouse holds ${held / WAD:,.6f}: insurance "
            f"${index.lines.insurance / WAD:,.6f}, protocol fees "
            f"${index.lines.protocol * MICRO / WAD:,.6f}, and dust of ${dust / WAD:.6f}: fractions "
            "of a native unit in accounts and in the pool's line."
        )
        if left:
            self._record.notes.append("Left behind: " + ", ".join(left) + ".")
        return left

    def _note_keepers_gas(self, store: Path) -> None:
        """Gas of the keeper's transactions, per item of a batch, by what the phase makes of it."""
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
            rows = db.execute(
                "select i.kind, i.payload, t.block, t.gas_used from transactions t "
                "join intents i on i.id = t.intent_id where t.status = 'mined'"
            ).fetchall()
        for kind, payload, block, gas in rows:
            items = max(1, len(json.loads(payload)))
            act = _KEEPERS_ACTS.get(kind, "")
            if kind == "execute" and block <= self._opened:
                act = "execute_open_first"
            elif kind == "execute" and block > self._closing:
                act = "execute_close"
            elif kind == "liquidate":
                act = "liquidate_one" if items == 1 else "liquidate_many_10_per_account"
            if act:
                self._stage.gas.note(act, gas // items)


def _percentiles(ordered: list[float]) -> dict[str, float]:
    """p50 and p99 of sorted milliseconds."""
    if len(ordered) < 2:
        only = round(ordered[0], 1) if ordered else 0.0
        return {"p50": only, "p99": only}
    cuts = quantiles(ordered, n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1)}
