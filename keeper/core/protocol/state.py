"""Everything the protocol remembers, in tables that an unfinished act can be taken back from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Generic, TypeVar

from keeper.core.accounts import FLAT, Account, Position
from keeper.core.interest import Credit, Curve
from keeper.core.liquidation import Policy
from keeper.core.losses import Borne, Charged, Grouped, Limits, Memory, Slices, Used
from keeper.core.margin import Haircut
from keeper.core.market import Lines, Market
from keeper.core.quotes import Feed, StoredPrice
from keeper.core.ramps import Ramp
from keeper.core.terms import Terms, UnderlyingTerms, in_force
from keeper.core.types import AccountId, Address, FeedId, InstrumentId, Refused, Status, require
from keeper.core.volatility import CongestionTerms, Estimate, Load, VolatilityTerms

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Any = object()
Change = tuple[dict[Any, Any], Any, Any]  # rows, key, value before


class Table(Generic[K, V]):
    """Records by key, each the default until it is set; every change can be undone."""

    __slots__ = ("_default", "_rows", "_undo")

    def __init__(self, undo: list[Change], default: V) -> None:
        self._rows: dict[K, V] = {}
        self._undo = undo
        self._default = default

    def __getitem__(self, key: K) -> V:
        return self._rows.get(key, self._default)

    def __setitem__(self, key: K, value: V) -> None:
        self._undo.append((self._rows, key, self._rows.get(key, _ABSENT)))
        self._rows[key] = value

    def __delitem__(self, key: K) -> None:
        """Back to the default."""
        self._undo.append((self._rows, key, self._rows.pop(key, _ABSENT)))

    def __iter__(self) -> Iterator[K]:
        return iter(self._rows)

    def items(self) -> Iterator[tuple[K, V]]:
        return iter(self._rows.items())


@dataclass(frozen=True, slots=True)
class Token:
    """A collateral token (SPEC 7.9)."""

    feed: FeedId
    decimals: int  # 0 to 18
    haircut: Haircut
    cap: int  # native units, of all accounts together


@dataclass(frozen=True, slots=True)
class TopUp:
    """An owner's rule that refills a bucket from bucket 0; budget 0 is none (SPEC 13)."""

    trigger_ppm: int = 0  # of maintenance: equity below it is topped up
    target_ppm: int = 0  # of maintenance: up to here
    interval: int = 0  # seconds, at least, between two
    last_at: int = 0  # unix seconds
    most: int = 0  # micro-USD at once
    budget: int = 0  # micro-USD in all


@dataclass(frozen=True, slots=True)
class Order:
    """A promise to trade (SPEC 6.1)."""

    account: AccountId
    instrument: InstrumentId
    size: int  # WAD units, > 0 buys
    acceptable: int  # WAD, worst average price; 0 any
    reduce_only: bool
    execution_fee: int  # WAD, to whoever executes it, and as much to whoever triggers it
    salt: int  # tells equal orders apart; of a signed one its nonce
    kind: int = 0  # 0 market, 1 limit, 2 stop, 3 take-profit
    trigger: int = 0  # WAD, index price that it waits for; 0 for a market order
    expiry: int = 0  # unix seconds, the last moment of a trigger; 0 none
    bracket: int = 0  # number of the bracket that it belongs to; 0 none


@dataclass(frozen=True, slots=True)
class Commitment:
    """What is stored of a live order; one that waits for its trigger has only `placed`."""

    due: int  # unix seconds: the first slot at or after it fills the order
    deadline: int  # unix seconds, last block time of a fill
    feed: FeedId
    opening: bool  # more than a reduction when it was committed: a halt ends it free
    reserved: int  # WAD
    lapse: int  # WAD, the charge of an order that ends unfilled
    placed: int = 0  # unix seconds, since when it waits for its trigger

    @property
    def waits(self) -> bool:
        return self.due == 0


class Stage(IntEnum):
    """How far a bracket has come."""

    NONE = 0
    ENTERED = 1  # its entry has filled: its exits may be triggered
    LEFT = 2  # an exit was triggered: the others are nothing any more


@dataclass(frozen=True, slots=True)
class Mandate:
    """What an owner lets a delegate do (SPEC 6.10)."""

    expiry: int = 0  # unix seconds, its last moment; 0: there is none
    instruments: int = 0  # bit i: instrument i may be traded
    every_bucket: bool = False
    bucket: int = 0  # the one that it is for, unless for every
    daily_usd: int = 0  # whole USD of notional a UTC day
    daily_fees_usd: int = 0  # whole USD of execution and relay fees a UTC day


@dataclass(frozen=True, slots=True)
class MandateUse:
    """What a delegate has used of a day."""

    day: int = 0  # days since the epoch
    notional: int = 0  # WAD
    fees: int = 0  # WAD


_AFTER = {int(Status.HALTED): Status.OPEN, int(Status.DELISTING): Status.DUE}  # by itself


@dataclass(frozen=True, slots=True)
class Settlement:
    """When the status of an instrument goes on by itself, and what a unit is worth in the end."""

    at: int = 0  # unix seconds, halted to open, delisting to due, or since it settles; 0: never
    value: int = 0  # WAD, once it settles


@dataclass(frozen=True, slots=True)
class Request:
    """A provider's pending request in one direction; amount 0 is none (SPEC 9.1)."""

    due: int = 0  # unix seconds: executes at prices of a slot at or after it
    deadline: int = 0  # unix seconds: lapses after it
    amount: int = 0  # entries: native assets, exits: shares
    min_out: int = 0  # entries: shares, exits: native assets


@dataclass(frozen=True, slots=True)
class Claim:
    """What of a provider's requests was executed and not yet claimed."""

    amount: int = 0  # entries: native assets, exits: shares
    out: int = 0  # entries: shares, exits: native assets


class Side(IntEnum):
    """What a request gives: assets for shares, or shares for assets."""

    ENTRY = 0
    EXIT = 1


SETTLEMENT = -1  # the settlement token among tokens; collateral tokens are 0, 1, …

# who holds tokens beside wallets
CLEARINGHOUSE = Address(b"clearinghouse")
VAULT = Address(b"vault")
POOL = Address(b"pool")


@dataclass(frozen=True, slots=True)
class Parameters:
    """The governor's figures that belong to no instrument, feed or token."""

    settlement_decimals: int  # 0 to 18
    forced_window_seconds: int  # in which a forced fill enters the premium
    upnl_ppm: int  # what a gain counts for new risk
    debt_maintenance_ppm: int
    debt_initial_ppm: int
    debt_cap: int  # WAD, of one account
    debt_share_ppm: int  # all debt, of the pool line
    debt_curve: Curve
    pool_factor_ppm: int  # NAV over the pool's requirement, for trades that add to it
    pool_low_ppm: int  # the same, below which every trade must reduce
    losses: Limits
    calls: Policy
    debt_sale_threshold: int  # WAD
    debt_discount_ppm: int  # the most that a debt sale takes off the price
    debt_grace_seconds: int  # of a healthy debtor, before the first sale
    debt_rise_seconds: int  # from no discount to the most
    order_delay_seconds: int
    order_window_seconds: int
    order_buffer_ppm: int
    request_delay_seconds: int
    request_window_seconds: int
    exit_fee_ppm: int
    exit_factor_ppm: int
    quorum: int  # reports that fix a slot
    reporters: frozenset[Address]
    insurance_caps: Mapping[InstrumentId, int]  # WAD, within the window of losses
    guardian: Address  # who may halt for a while

    @property
    def scale(self) -> int:
        """WAD of one native unit of the settlement token."""
        return int(10 ** (18 - self.settlement_decimals))


class State:
    """All accounts, instruments, orders, prices, tokens: one value of the whole protocol."""

    def __init__(
        self,
        parameters: Parameters,
        feeds: Mapping[FeedId, Feed],
        tokens: Sequence[Token],
        instruments: Mapping[InstrumentId, Terms],
        now: int,
    ) -> None:
        self.parameters = parameters
        self.feeds = dict(feeds)
        self.tokens = tuple(tokens)
        self.now = now  # unix seconds, time of the present block
        self.base_fee = 0  # wei, of the present block
        self.volatility_terms: dict[int, VolatilityTerms] = {}  # by underlying
        self.congestion = CongestionTerms(0, 0, 0, 0)
        self._in_force: dict[InstrumentId, tuple[Terms, Ramp | None, int, Terms]] = {}
        self._undo: list[Change] = []

        self.terms: Table[InstrumentId, Terms | None] = self._table(None)
        for instrument, terms in instruments.items():
            self.terms[instrument] = terms
        self.settlements: Table[InstrumentId, Settlement] = self._table(Settlement())
        self.ramps: Table[int, Ramp | None] = self._table(None)  # by underlying
        self.estimates: Table[int, Estimate | None] = self._table(None)  # by underlying
        self.prices: Table[FeedId, StoredPrice | None] = self._table(None)
        self.ring: Table[tuple[FeedId, int], StoredPrice | None] = self._table(None)

        self.accounts: Table[AccountId, Account] = self._table(Account())
        self.positions: Table[tuple[AccountId, InstrumentId], Position] = self._table(FLAT)
        self.markets: Table[InstrumentId, Market] = self._table(Market())
        self._cells: Table[str, Any] = self._table(None)
        self._cells["lines"] = Lines()
        self._cells["credit"] = Credit(accrued_at=now)
        self._cells["supply"] = 0
        self._cells["escrow"] = 0
        self._cells["dust"] = 0
        self._cells["halt_ends"] = 0
        self._cells["load"] = Load()
        self._cells["slices"] = Slices()
        self.debt_indices: Table[AccountId, int] = self._table(0)  # 0: none, or without interest
        self.top_ups: Table[AccountId, TopUp] = self._table(TopUp())
        self.debt_due: Table[AccountId, int] = self._table(0)  # unix seconds; 0: not marked
        self.used: Table[InstrumentId, Used] = self._table(Used())
        self.grouped: Table[int, Grouped] = self._table(Grouped())
        self.charged: Table[InstrumentId, Charged] = self._table(Charged())
        self.borne: Table[InstrumentId, Borne] = self._table(Borne())
        self.memories: Table[AccountId, Memory | None] = self._table(None)

        self.orders: Table[Order, Commitment | None] = self._table(None)
        self.brackets: Table[tuple[AccountId, int], Stage] = self._table(Stage.NONE)
        self.nonces: Table[tuple[Address, int], int] = self._table(0)  # (signer, place): bits
        self.mandates: Table[tuple[Address, Address], Mandate] = self._table(Mandate())
        self.mandates_used: Table[tuple[Address, Address], MandateUse] = self._table(MandateUse())

        self.collateral: Table[tuple[AccountId, int], int] = self._table(0)
        self.collateral_total: Table[int, int] = self._table(0)

        self.shares: Table[Address, int] = self._table(0)
        self.operators: Table[tuple[Address, Address], bool] = self._table(False)
        self.requests: Table[tuple[Side, Address], Request] = self._table(Request())
        self.claims: Table[tuple[Side, Address], Claim] = self._table(Claim())
        self.returned: Table[Address, int] = self._table(0)
        self.shortfalls: Table[AccountId, int] = self._table(0)
        self._cells["marked"] = ()

        self.wallets: Table[tuple[int, Address], int] = self._table(0)
        self._undo.clear()

    def _table(self, default: V) -> Table[Any, V]:
        return Table(self._undo, default)

    @property
    def lines(self) -> Lines:
        """The ledger's lines and totals."""
        lines: Lines = self._cells["lines"]
        return lines

    @lines.setter
    def lines(self, lines: Lines) -> None:
        self._cells["lines"] = lines

    @property
    def slices(self) -> Slices:
        """What was used of the limit of all deficits."""
        slices: Slices = self._cells["slices"]
        return slices

    @slices.setter
    def slices(self, slices: Slices) -> None:
        self._cells["slices"] = slices

    @property
    def credit(self) -> Credit:
        """All debts of accounts, and what they cost."""
        credit: Credit = self._cells["credit"]
        return credit

    @credit.setter
    def credit(self, credit: Credit) -> None:
        self._cells["credit"] = credit

    @property
    def total_debt(self) -> int:
        """WAD, Σ max(0, −cash)."""
        return self.credit.total

    @property
    def supply(self) -> int:
        """Shares of the pool."""
        return int(self._cells["supply"])

    @supply.setter
    def supply(self, shares: int) -> None:
        self._cells["supply"] = shares

    @property
    def escrow(self) -> int:
        """Native settlement tokens on their way into or out of the pool."""
        return int(self._cells["escrow"])

    @escrow.setter
    def escrow(self, amount: int) -> None:
        self._cells["escrow"] = amount

    @property
    def marked(self) -> tuple[AccountId, ...]:
        """Accounts whose shortfall is out of the worth of shares, as the pool lists them."""
        accounts: tuple[AccountId, ...] = self._cells["marked"]
        return accounts

    @marked.setter
    def marked(self, accounts: tuple[AccountId, ...]) -> None:
        self._cells["marked"] = accounts

    @property
    def dust(self) -> int:
        """Native settlement tokens that came to the Clearinghouse without an act."""
        return int(self._cells["dust"])

    @dust.setter
    def dust(self, amount: int) -> None:
        self._cells["dust"] = amount

    @property
    def halt_ends(self) -> int:
        """Unix seconds: when the guardian's last row of halts ends."""
        return int(self._cells["halt_ends"])

    @halt_ends.setter
    def halt_ends(self, moment: int) -> None:
        self._cells["halt_ends"] = moment

    @property
    def load(self) -> Load:
        """How full blocks are, by the last sample's look."""
        load: Load = self._cells["load"]
        return load

    @load.setter
    def load(self, load: Load) -> None:
        self._cells["load"] = load

    def as_set(self, instrument: InstrumentId) -> Terms:
        """The terms of an instrument as the governor set them; refused when it is not listed."""
        terms = self.terms[instrument]
        if terms is None:
            raise Refused("instruments: unknown instrument")
        end = self.settlements[instrument]
        if end.at == 0:
            return terms
        if terms.settles:
            return replace(terms, settlement_wad=end.value)
        if self.now < end.at or terms.fill.status not in _AFTER:
            return terms
        return replace(terms, fill=replace(terms.fill, status=_AFTER[terms.fill.status]))

    def listed(self, instrument: InstrumentId) -> Terms:
        """The terms of an instrument in force now; refused when it is not listed."""
        terms = self.as_set(instrument)
        ramp = self.ramps[terms.risk.underlying]
        known = self._in_force.get(instrument)
        if known and known[0] is terms and known[1] is ramp and known[2] == self.now:
            return known[3]
        found = in_force(terms, ramp, self.now)
        self._in_force[instrument] = (terms, ramp, self.now, found)
        return found

    def least_shock(self, underlying: int) -> int:
        """The least shock of an underlying that has an instrument, ppm."""
        return self._on(underlying).shock_ppm

    def feed_of(self, underlying: int) -> FeedId:
        """The feed of an underlying that has an instrument."""
        return self._on(underlying).feed

    def _on(self, underlying: int) -> UnderlyingTerms:
        for _, terms in self.terms.items():
            if terms is not None and terms.risk.underlying == underlying:
                return terms.underlying
        raise KeyError(f"underlying {underlying}: no instrument on it")

    def send(self, token: int, source: Address, target: Address, amount: int) -> None:
        """Move native units of a token between holders."""
        require(self.wallets[token, source] >= amount, "token: balance too small")
        self.wallets[token, source] -= amount
        self.wallets[token, target] += amount

    @staticmethod
    def take_back(changes: list[Change]) -> None:
        """Undo changes of tables, the last one first."""
        while changes:
            rows, key, before = changes.pop()
            if before is _ABSENT:
                rows.pop(key, None)
            else:
                rows[key] = before

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """What a refusal inside interrupts is taken back to the last change."""
        mark = len(self._undo)
        try:
            yield
        except Refused:
            changes = self._undo[mark:]
            del self._undo[mark:]
            self.take_back(changes)
            raise
        if mark == 0:
            self._undo.clear()
