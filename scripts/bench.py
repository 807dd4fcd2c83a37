"""Gas of every act, as whole transactions: intrinsic gas and calldata included, refunds taken off.

    python -m scripts.bench             # measure, print, write build/bench.json
    python -m scripts.bench --update    # and the checked-in tests/gas/gas.json

The contracts of each EVM version are measured on anvil under that version's rules. Block times,
wallets and signatures are the same in every run, so the figures are too.

Views are execution alone: sent as transactions, less what any transaction costs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_account import Account

from keeper.core.reports import post_call
from scripts import build, nodes, protocol, roles
from scripts.build import ROOT
from scripts.parameters.units import WAD
from scripts.protocol import Protocol

RESULTS = ROOT / "build" / "bench.json"
CHECKED_IN = ROOT / "tests" / "gas" / "gas.json"

Figures = dict[str, int]

# What each figure is, and what it should not exceed under cancun's rules; None: no target.
ACTS: dict[str, tuple[int | None, str]] = {
    "deposit_first": (72_000, "the account's first"),
    "deposit": (56_000, "and a later one"),
    "withdraw": (47_000, "of a part, no position and no debt"),
    "withdraw_with_position": (100_000, "of a part, one position"),
    "order_commit": (75_000, "to open, no execution fee"),
    "order_commit_with_position": (None, "to increase"),
    "execute_open_first": (170_000, "at a slot posted before; the account's first position"),
    "execute_open": (140_000, "at a slot posted before; an increase"),
    "execute_open_with_report": (None, "an increase, the quorum's report in the same transaction"),
    "execute_close": (135_000, "of the whole position"),
    "relay_signed": (None, "to open, a relay fee; the first nonce of its word"),
    "order_place": (None, "a limit, no execution fee"),
    "trigger": (None, "of that limit, at a slot posted before"),
    "execute_open_triggered": (None, "an increase, triggered before"),
    "execute_open_signed": (None, "an increase, relayed before"),
    "liquidate_one": (135_000, "what is missing, at a stored price; anyone may"),
    "liquidate_many_10_per_account": (47_000, "each account after the first of ten"),
    "funding_accrue": (60_000, "one instrument"),
    "price_post": (75_000, "a quorum of three, in a ring that has been round"),
    "price_post_first": (None, "the same in an unused place of the ring"),
    "volatility_sample": (None, "of one underlying, the cell's first; five minutes apart"),
    "pool_request": (110_000, "to enter; not the controller's first"),
    "pool_execute": (None, "one entry, three instruments marked"),
    "requirement_view_4_futures": (60_000, "execution; four underlyings"),
    "assess_view_4_futures": (75_000, "execution; the same with equity"),
    "report_view": (None, "execution; the same account's report, liquidation prices included"),
}

PRICES = {"BTC": Decimal(50_000), "ETH": Decimal(2_500), "SOL": Decimal(100)}
SPREAD = {1: Decimal("0.5"), 2: Decimal("0.05"), 3: Decimal("0.001"), 4: Decimal("0.001")}
BTC = 1
CELL = 300  # seconds between samples of volatility
USD = 10**6  # native units of the settlement token
BATCH = 10
NO_LIMIT = 2**255


def measure_all() -> dict[str, Figures]:
    """Figures by EVM version. Raises NodeError or CompileError."""
    return {evm: measure(evm) for evm in ("cancun", "shanghai")}


def measure(evm_version: str) -> Figures:
    """Figures of every act of ACTS under one EVM version's rules."""
    with nodes.start("anvil", accounts=roles.ACCOUNTS, hardfork=evm_version) as node:
        return _Bench(protocol.deploy(node, PRICES)).run()


class _Bench:
    """One run: people act in an order in which each figure finds the state that it is about."""

    def __init__(self, ballast: Protocol) -> None:
        self.p = ballast
        self.figures: Figures = {}
        self.keeper = ballast.wallets[roles.KEEPER]
        self.provider, self.second_provider, self.third_provider = (
            ballast.wallets[place] for place in roles.PROVIDERS
        )
        self.trader, self.maker, self.victim, self.whale = (
            ballast.wallets[place] for place in roles.TRADERS[:4]
        )
        self._salt = 0

    def run(self) -> Figures:
        self._open_the_house()
        self._cash()
        self._trades()
        self._orders_of_others()
        self._upkeep()
        self._pool()
        self._liquidations()
        self._views()
        self._samples()
        return {name: self.figures[name] for name in ACTS}

    # -- parts

    def _open_the_house(self) -> None:
        """Prices, a pool, insurance, and somebody long and short of everything."""
        p = self.p
        for holder in (self.trader, self.maker, self.victim, self.whale, self.keeper):
            p.mint("USDC", holder, 10_000_000 * USD, "Clearinghouse")
        for holder in (self.provider, self.second_provider, self.third_provider):
            p.mint("USDC", holder, 20_000_000 * USD, "LiquidityPool")
        self._post_all()
        self._enter_pool(self.provider, 10_000_000)
        p.act(self.keeper, "Clearinghouse", "fund_insurance", 100_000 * USD)
        p.act(self.keeper, "Clearinghouse", "deposit", p.account(self.keeper), 100 * USD)
        for bucket, sign in ((0, 1), (2**64, -1)):
            account = p.account(self.maker, bucket)
            p.act(self.maker, "Clearinghouse", "deposit", account, 500_000 * USD)
            p.act(self.maker, "Clearinghouse", "set_mode", account, 2)
            for instrument, size in ((1, 2), (2, 40), (3, 500)):
                self._fill(self._commit(account, instrument, Decimal(size * sign))[1])

    def _cash(self) -> None:
        p, account = self.p, self._account()
        deposit = ("Clearinghouse", "deposit", account, 20_000 * USD)
        self._note("deposit_first", p.act(self.trader, *deposit))
        self._note("deposit", p.act(self.trader, *deposit))
        withdraw = ("Clearinghouse", "withdraw", account, 1_000 * USD, self.trader)
        self._note("withdraw", p.act(self.trader, *withdraw))

    def _trades(self) -> None:
        p, account = self.p, self._account()
        receipt, order = self._commit(account, BTC, Decimal("1.25"))
        self._note("order_commit", receipt)
        self._note("execute_open_first", self._fill(order))
        receipt, order = self._commit(account, BTC, Decimal("0.75"))
        self._note("order_commit_with_position", receipt)
        self._note("execute_open", self._fill(order))
        receipt, order = self._commit(account, BTC, Decimal("0.5"))
        self._note("execute_open_with_report", self._fill_with_report(order))
        self._post_all()
        withdraw = ("Clearinghouse", "withdraw", account, 1_000 * USD, self.trader)
        self._note("withdraw_with_position", p.act(self.trader, *withdraw))
        receipt, order = self._commit(account, BTC, Decimal("-2.5"), reduce_only=True)
        self._note("execute_close", self._fill(order))

    def _orders_of_others(self) -> None:
        """A limit that somebody triggers, a signed order that somebody brings."""
        p, account = self.p, self._account()
        self._fill(self._commit(account, BTC, Decimal("0.5"))[1])
        far = int(PRICES["BTC"]) * 2 * WAD
        receipt, order = self._commit(account, BTC, Decimal("0.5"), waiting=(1, far, 0, 0))
        self._note("order_place", receipt)
        slot = p.time + 1
        self._post(BTC, slot=slot)
        self._note("trigger", p.act(self.keeper, "Orders", "trigger", order, slot))
        self._note("execute_open_triggered", self._fill(order))
        self._salt += 1
        order = (account, BTC, WAD // 2, 0, False, 0, self._salt, 0, 0, 0, 0)
        fee, deadline = WAD, 2**40
        digest = p.view("Orders", "order_digest", order, fee, deadline)
        path = f"m/44'/60'/0'/0/{roles.TRADERS[0]}"
        key = Account.from_mnemonic(p.node.mnemonic, account_path=path)
        signature = bytes(key.unsafe_sign_hash(digest).signature)
        brought = (order, fee, deadline, self.trader, signature)
        self._note("relay_signed", p.act(self.keeper, "Orders", "relay_signed", *brought))
        self._note("execute_open_signed", self._fill(order))
        self._post_all()
        self._fill(self._commit(account, BTC, Decimal("-1.5"), reduce_only=True)[1])

    def _upkeep(self) -> None:
        p = self.p
        p.warp(60)
        self._note("funding_accrue", p.act(self.keeper, "Markets", "accrue", [BTC]))
        ring = p.view("OracleHub", "feed_config", BTC)["ring_length"]
        slot = p.time + 1
        self._note("price_post_first", self._post(BTC))
        p.warp(ring)  # once round
        assert p.time + 1 - slot == ring
        self._note("price_post", self._post(BTC))

    def _samples(self) -> None:
        """Last of all: margin follows them."""
        p = self.p
        for _ in range(3):
            p.warp(CELL - p.time % CELL)
            self._post(BTC)
            slot = p.view("OracleHub", "latest_slot", BTC)
            receipt = p.act(self.keeper, "Volatility", "sample", BTC, slot)
        self._note("volatility_sample", receipt)

    def _pool(self) -> None:
        for provider in (self.second_provider, self.third_provider):
            self._enter_pool(provider, 100_000)
        self._note("pool_request", self._request_entry(self.second_provider, 200_000))
        self._wait_for_requests()
        receipt = self.p.act(self.keeper, "LiquidityPool", "execute", [self.second_provider], [])
        self._note("pool_execute", receipt)

    def _liquidations(self) -> None:
        """Isolated accounts a little below maintenance: what is missing is closed, no more."""
        p = self.p
        accounts = [p.account(self.victim, 1 + i) for i in range(BATCH + 3)]
        for account in accounts:
            p.act(self.victim, "Clearinghouse", "deposit", account, 4_600 * USD)
            self._fill(self._commit(account, BTC, Decimal(1))[1])
        price = min(p.view("Lens", "liquidation_price", each, BTC)[0] for each in accounts)
        self._post(BTC, Decimal(price) / WAD * Decimal("0.999"))
        one, *rest = accounts
        p.act(self.keeper, "Liquidator", "liquidate", one, BTC, NO_LIMIT)
        second, alone, *batch = rest
        liquidate = ("Liquidator", "liquidate", second, BTC, NO_LIMIT)
        self._note("liquidate_one", p.act(self.keeper, *liquidate))
        first = self._gas(p.act(self.keeper, "Liquidator", "liquidate_many", [alone], [BTC]))
        many = ("Liquidator", "liquidate_many", batch, [BTC] * len(batch))
        every = self._gas(p.act(self.keeper, *many))
        further = len(batch) - 1
        self.figures["liquidate_many_10_per_account"] = -(-(every - first) // further)
        sizes = {p.view("Clearinghouse", "position", each, BTC)[0] for each in accounts}
        assert 0 not in sizes
        assert WAD not in sizes

    def _views(self) -> None:
        """A cross account long and short of four futures, each on an underlying of its own."""
        p = self.p
        self._list_fourth()
        self._post_all()
        account = p.account(self.whale)
        p.act(self.whale, "Clearinghouse", "deposit", account, 100_000 * USD)
        for instrument, size in ((1, 1), (2, -20), (3, 300), (4, -300)):
            self._fill(self._commit(account, instrument, Decimal(size))[1])
        p.warp(20)
        book = p.view("Clearinghouse", "positions", account)
        requirement = ("RiskEngine", "requirement", 2, book, 3, 0, 0)
        self._note_view("requirement_view_4_futures", *requirement)
        self._note_view("assess_view_4_futures", "Clearinghouse", "assess", account, 3)
        self._note_view("report_view", "Lens", "report", account)

    # -- acts

    def _account(self) -> bytes:
        """The trader's isolated bucket, in which most figures are taken."""
        return self.p.account(self.trader, 1)

    def _commit(
        self,
        account: bytes,
        instrument: int,
        size: Decimal,
        reduce_only: bool = False,
        waiting: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> tuple[dict[str, Any], tuple[Any, ...]]:
        """Commit an order; `waiting` is its kind, trigger, expiry and bracket."""
        self._salt += 1
        wad = int(size * WAD)
        order = (account, instrument, wad, 0, reduce_only, 0, self._salt, *waiting)
        owner = "0x" + account[:20].hex()
        return self.p.act(owner, "Orders", "commit", order), order

    def _fill(self, order: tuple[Any, ...]) -> dict[str, Any]:
        """Report the order's slot, then execute it."""
        slot = self._due(order)
        self._post(order[1], slot=slot)
        return self._executed(self.p.act(self.keeper, "Orders", "execute", order, slot))

    def _fill_with_report(self, order: tuple[Any, ...]) -> dict[str, Any]:
        """Both in one transaction: no such act yet, so what the two cost less an intrinsic."""
        slot = self._due(order)
        posted = self._post(order[1], slot=slot)
        filled = self._executed(self.p.act(self.keeper, "Orders", "execute", order, slot))
        return {"gasUsed": hex(self._gas(posted) + self._gas(filled) - 21_000)}

    def _due(self, order: tuple[Any, ...]) -> int:
        p = self.p
        due: int = p.view("Orders", "commitment", p.view("Orders", "order_id", order))["due"]
        p.warp(due - p.time)
        return due

    def _executed(self, receipt: dict[str, Any]) -> dict[str, Any]:
        ended = receipt["logs"][-1]
        status = int(ended["data"][2:66], 16)
        assert status == 0, f"the order ended with status {status}"
        return receipt

    def _post(
        self, feed: int, price: Decimal | None = None, slot: int | None = None
    ) -> dict[str, Any]:
        """A quorum's reports, a little apart, of a slot or of the next second."""
        usual = (*PRICES.values(), PRICES["SOL"])[feed - 1]
        reports = self.p.quorum(feed, price or usual, slot or self.p.time + 1, spread=SPREAD[feed])
        return self.p.send(self.keeper, self.p.where["OracleHub"], post_call(reports))

    def _post_all(self) -> None:
        for feed in range(1, self.p.view("OracleHub", "feed_count") + 1):
            self._post(feed)

    def _request_entry(self, provider: str, usd: int) -> dict[str, Any]:
        return self.p.act(
            provider, "LiquidityPool", "requestDeposit", usd * USD, provider, provider
        )

    def _wait_for_requests(self) -> None:
        self.p.warp(self.p.terms.pool.request_delay_seconds)
        self._post_all()

    def _enter_pool(self, provider: str, usd: int) -> None:
        self._request_entry(provider, usd)
        self._wait_for_requests()
        self.p.act(self.keeper, "LiquidityPool", "execute", [provider], [])
        self.p.act(provider, "LiquidityPool", "deposit", usd * USD, provider)

    def _list_fourth(self) -> None:
        """A fourth underlying like SOL, with a feed and an instrument of its own."""
        p = self.p
        config = p.view("OracleHub", "feed_config", 3)
        p.act(p.deployer, "OracleHub", "add_feed", tuple(config.values()))
        calls = {
            call.function: call.arguments
            for call in p.plan(PRICES)
            if call.function in ("add_underlying", "add_instrument")
        }
        underlying, gaps = calls["add_underlying"]
        p.act(p.deployer, "Instruments", "add_underlying", (4, *underlying[1:]), gaps)
        risk, fill, limit = calls["add_instrument"]
        p.act(p.deployer, "Instruments", "add_instrument", (risk[0], 4, *risk[2:]), fill, limit)

    # -- figures

    @staticmethod
    def _gas(receipt: Mapping[str, Any]) -> int:
        return int(receipt["gasUsed"], 16)

    def _note(self, name: str, receipt: Mapping[str, Any]) -> None:
        self.figures[name] = self._gas(receipt)

    def _note_view(self, name: str, contract: str, function: str, *arguments: Any) -> None:
        data = self.p.calldata(contract, function, *arguments)
        receipt = self.p.act(self.keeper, contract, function, *arguments)
        calldata = sum(16 if byte else 4 for byte in data)
        self.figures[name] = self._gas(receipt) - 21_000 - calldata


# -- results ------------------------------------------------------------------------------------


def table(figures: Mapping[str, Figures]) -> str:
    """Every act with its figures, its target and what is missing to it."""
    lines = [f"{'gas':<32}" + "".join(f"{evm:>10}" for evm in figures) + "    target  above"]
    for name, (target, note) in ACTS.items():
        line = f"{name:<32}" + "".join(f"{found[name]:>10,}" for found in figures.values())
        if target is not None:
            above = figures["cancun"][name] - target
            line += f"{target:>10,}{above:>+9,}"
        else:
            line += " " * 19
        lines.append(f"{line}  {note}")
    return "\n".join(lines)


def sizes() -> str:
    """Bytes of deployed code, largest first."""
    compiled = {evm: build.artifacts(evm) for evm in build.EVM_VERSIONS}
    rows = sorted(build.deployable_sources(), key=lambda name: -compiled["cancun"][name].size)
    lines = [f"{'bytes of deployed code':<32}" + "".join(f"{evm:>10}" for evm in compiled)]
    for name in rows:
        lines.append(
            f"{name:<32}" + "".join(f"{found[name].size:>10,}" for found in compiled.values())
        )
    return "\n".join(lines)


def keep(figures: Mapping[str, Figures]) -> None:
    """Put them into build/bench.json, beside what others keep there."""
    try:
        content = json.loads(RESULTS.read_text())
    except FileNotFoundError:
        content = {}
    content.setdefault("gas", {}).update(figures)
    _write(RESULTS, content)


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the gas of every act.")
    parser.add_argument("--update", action="store_true", help="write tests/gas/gas.json too")
    update = parser.parse_args(arguments).update
    try:
        figures = measure_all()
        print(sizes(), table(figures), sep="\n\n")
    except (nodes.NodeError, build.CompileError) as error:
        print(error, file=sys.stderr)
        return 1
    keep(figures)
    written = [RESULTS]
    if update:
        _write(CHECKED_IN, figures)
        written.append(CHECKED_IN)
    print("\nwrote " + " and ".join(str(file.relative_to(ROOT)) for file in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
