"""The witness: folds the chain's logs by itself and holds the reference model against the chain.

It shares no state with the keeper that acts. What it computes, it computes with `keeper.core`,
the model that the contracts are proven equal to; what it finds is therefore exact or wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper.core import funding, market
from keeper.core.fold import Constants, Log
from keeper.core.index import Checkpoint, Index
from keeper.core.liquidation import Assessment
from keeper.core.protocol import clearing, debts, liquidations
from keeper.core.types import AccountId, InstrumentId, Level, Refused
from keeper.core.units import DAY, WAD
from keeper.edges import addresses, parameters
from keeper.edges.audit import Auditor
from keeper.edges.chain import Chain, Header
from keeper.edges.events import Follower
from keeper.edges.parameters import Views
from keeper.edges.telemetry import Metrics
from scripts import deploy

_CAUSE_LIQUIDATION = 2  # of PositionChanged
_FILLED = 0  # status of OrderEnded
_LOG_RANGE = 2_000


@dataclass(frozen=True, slots=True)
class Seized:
    """One liquidation as the reference saw the account just before it."""

    block: int
    time: int  # unix seconds
    account: AccountId
    instrument: InstrumentId
    long: bool
    size: int  # WAD closed
    price: int  # WAD, the index price
    whole: bool
    equity: int  # WAD
    maintenance: int  # WAD
    just: bool  # whether the reference, too, would have closed it

    @property
    def health(self) -> float:
        return self.equity / self.maintenance if self.maintenance else float("inf")


class WitnessIndex(Index):
    """An index that looks at every liquidated account in the moment before."""

    def __init__(self, constants: Constants) -> None:
        super().__init__(constants)
        self.counts: dict[str, int] = {}
        self.executed = 0
        self.seized: list[Seized] = []
        self.called: list[tuple[int, AccountId]] = []  # (unix seconds, who)
        self.deficits = 0  # WAD, whoever has paid them
        self.drift = 0  # WAD, largest difference of what a liquidation's event tells
        # what was so before a debtor's interest was taken, as a liquidation's first step
        self._before: tuple[int, AccountId, Assessment, bool] | None = None

    def apply(self, log: Log) -> None:
        self.counts[log.name] = self.counts.get(log.name, 0) + 1
        args = log.args
        if log.name == "DebtChanged":
            self.now, account = log.time, AccountId(args["account"])
            self._before = (log.block, account, *self._assessed(account))
        if log.name == "PositionChanged" and args["cause"] == _CAUSE_LIQUIDATION:
            self._look(log)
        super().apply(log)
        if log.name == "OrderEnded" and args["status"] == _FILLED:
            self.executed += 1
        elif log.name == "MarginCalled":
            self.called.append((log.time, AccountId(args["account"])))
        elif log.name == "DeficitPaid":
            self.deficits += args["deficit"]
        elif log.name == "Liquidated":
            seen = self.seized[-1]
            off = (seen.equity - args["equity"], seen.maintenance - args["maintenance"])
            self.drift = max(self.drift, *map(abs, off))

    def _assessed(self, account: AccountId) -> tuple[Assessment, bool]:
        """An account now, and whether it may be liquidated."""
        assessed = clearing.assess(self, account, Level.ANY)
        try:
            return assessed, liquidations.is_liquidatable(self, account)
        except Refused:  # no fresh price: nobody may
            return assessed, False

    def _look(self, log: Log) -> None:
        """The account as it was when the Liquidator assessed it."""
        self.now = log.time
        account, instrument = AccountId(log.args["account"]), InstrumentId(log.args["instrument"])
        assessed, just = self._assessed(account)
        if self._before is not None and self._before[:2] == (log.block, account):
            assessed, just = self._before[2:]
        self._before = None
        feed = self.listed(instrument).underlying.feed
        price = clearing.stored_prices(self, Level.ANY)(feed).price_wad
        self.seized.append(
            Seized(
                block=log.block,
                time=log.time,
                account=account,
                instrument=instrument,
                long=log.args["size_delta"] < 0,
                size=abs(log.args["size_delta"]),
                price=price,
                whole=log.args["size"] == 0,
                equity=assessed.equity,
                maintenance=assessed.maintenance,
                just=just,
            )
        )


class Witness:
    """Follows one deployment on one node."""

    def __init__(self, url: str, network: str) -> None:
        self.book = addresses.load(deploy.path_of(network))
        self._chain = Chain(url)
        self._views = Views(self._chain, self.book)
        head = self._chain.header("latest")
        start = self._chain.header(self.book.block)
        self.index = WitnessIndex(parameters.read(self._views, head))
        self.index.start_at(Checkpoint(start.number, start.hash, start.timestamp))
        self._metrics = Metrics()
        self._follower = Follower(self._chain, self.book, self._metrics, _LOG_RANGE)
        settlement = parameters.settlement_token(self._views, head)
        self._auditor = Auditor(self.book, self._views, self._metrics, settlement)
        self.compared = 0  # accounts held against the chain so far
        self.drift = 0  # WAD, the largest difference so far
        self.ledger_difference = 0  # WAD, the largest so far

    def look(self) -> Header:
        """Fold up to the head of the chain."""
        head = self._chain.header("latest")
        self._follower.follow(self.index, head)
        if self.index.constants_stale:
            self.index.adopt(parameters.read(self._views, head))
        return head

    def audit(self) -> None:
        """Every account and the whole ledger, by the model and by the chain, at one block."""
        head = self.look()
        everyone = sum(1 for _ in self.index.accounts)
        found = self._auditor.audit(self.index, head, everyone)
        self.compared += found.accounts
        self.drift = max(self.drift, self.index.drift, found.drift)
        self.ledger_difference = max(self.ledger_difference, found.ledger_difference, key=abs)

    def assess(self, account: AccountId) -> Assessment:
        """An account at the stored prices, by the model."""
        return clearing.assess(self.index, account, Level.ANY)

    def health(self, account: AccountId) -> float | None:
        """Equity over maintenance; None when nothing is required."""
        assessed = self.assess(account)
        if assessed.maintenance == 0:
            return None
        return assessed.equity / assessed.maintenance

    def nav(self) -> int:
        """Of the pool at this moment, WAD: its line, and what every instrument is worth to it.

        The chain stores the sums behind a mark; here they are added up from all positions.
        """
        index, total = self.index, self.index.lines.pool + debts.due(self.index)
        for instrument, about in index.terms.items():
            if about is None:
                continue
            held = [one for (_, i), one in index.positions.items() if i == instrument]
            before = replace(
                index.markets[instrument],
                notional_sum=sum(one.notional for one in held),
                index_sum=sum(funding.index_part(one) for one in held),
            )
            accrued, gap_fee = funding.accrued(before, index.now)
            price, window = self.price(instrument), index.parameters.forced_window_seconds
            total -= gap_fee
            total += market.mark(
                accrued,
                about.value(price).fair,
                price,
                about.fill.depth_wad,
                market.premium_net(accrued, index.now, window),
            )
        return total

    def price(self, instrument: InstrumentId) -> int:
        """The stored index price, WAD."""
        feed = self.index.listed(instrument).underlying.feed
        return clearing.stored_prices(self.index, Level.ANY)(feed).price_wad

    def funding_percent_per_day(self, instrument: InstrumentId) -> float:
        """Rate that longs pay now, of the index price."""
        return self.index.markets[instrument].rate * DAY * 100 / self.price(instrument)

    def net_usd(self, instrument: InstrumentId) -> float:
        """Longs less shorts at the index price."""
        return self.index.markets[instrument].net * self.price(instrument) / (WAD * WAD)
