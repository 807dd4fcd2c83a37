"""One protocol twice: the real bytecode and the reference model, driven by the same acts.

Every act is done on both and must end alike: with what it returns, or with the text it is refused
with. `check` then compares what the act could have changed, word by word; `sweep` all there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import Any

from coincurve import PrivateKey
from eth_utils import keccak

from keeper.core import accounts, market, terms
from keeper.core.interest import Credit, Curve
from keeper.core.liquidation import Policy
from keeper.core.losses import Limits
from keeper.core.margin import Haircut
from keeper.core.protocol import checks, clearing, liquidations, liquidity, views
from keeper.core.protocol.model import Protocol
from keeper.core.protocol.state import (
    CLEARINGHOUSE,
    POOL,
    SETTLEMENT,
    VAULT,
    Order,
    Parameters,
    Side,
    State,
    Token,
)
from keeper.core.quotes import Feed, Report, StoredPrice
from keeper.core.ramps import Ramp
from keeper.core.reports import domain_separator
from keeper.core.types import AccountId, Address, FeedId, InstrumentId, Level, Refused
from keeper.core.units import DAY
from keeper.core.volatility import CongestionTerms, Estimate, VolatilityTerms
from tests.support.evm import Revert
from tests.support.reporting import CHAIN_ID
from tests.support.world import World

REPORT_TYPE = keccak(
    text="PriceReport(uint256 feed,uint256 slot,uint256 previous,uint256 price,uint256 confidence)"
)
STRANGER = Address(b"a reporter of no hub")  # 20 bytes
UNKNOWN_TOKEN = 7  # a place where no collateral token is listed
MASK = (1 << 24) - 1
SKIPPED = 255  # what execute_many answers for an order that stays as it is


class Difference(AssertionError):
    """Bytecode and model disagree; the text says in what."""


@dataclass(frozen=True, slots=True)
class Act:
    """One call: a method of `Protocol` and its arguments."""

    name: str
    args: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(_shown(one) for one in self.args)})"


@dataclass(frozen=True, slots=True)
class Ended:
    """How an act ended: with a result, or refused with a text."""

    result: Any
    refusal: str | None

    @property
    def label(self) -> str:
        if self.refusal is not None:
            return self.refusal or "(no text)"
        return _outcome(self.result)


def address(text: str) -> Address:
    """A 0x-address as the model takes it."""
    return Address(bytes.fromhex(text[2:]))


def hexed(owner: Address) -> str:
    """An address as the chain takes it."""
    return "0x" + owner.hex()


class Twin:
    """A world and its model, in the same state."""

    def __init__(self, world: World, actors: Sequence[Address], signer: Signer) -> None:
        self.world = world
        self.instruments = [InstrumentId(one + 1) for one in range(world.instruments.count())]
        self.tokens = [world.weth, world.wbtc]
        self.protocol = Protocol(_state_of(world, self.tokens, self.instruments))
        self.state = self.protocol.state
        self.owners = list(actors)
        self.accounts: list[AccountId] = []
        self.order_ids: dict[Order, bytes] = {}
        self._holders = {
            CLEARINGHOUSE: world.clearinghouse.address,
            VAULT: world.vault.address,
            POOL: world.pool.address,
        }
        self._read_wallets()
        self._seen: dict[Any, Any] = {}  # records that were equal when last compared
        self.signer = signer
        self._calls = _calls(self)

    # -- time and prices

    def pass_time(self, seconds: int) -> None:
        self.world.evm.warp(seconds)
        self.state.now = self.world.evm.timestamp

    # -- acts

    def act(self, act: Act) -> Ended:
        """Do an act on both; Difference when they do not end alike."""
        ours = self._model(act)
        theirs = self._chain(act)
        if ours.refusal is not None or theirs.refusal is not None:
            if not _same_refusal(ours.refusal, theirs.refusal):
                raise Difference(f"{act}: the model {_how(ours)}, the contracts {_how(theirs)}")
            return ours
        expected = _EXPECTED.get(act.name, _same)(ours.result)
        if expected is not _ANY and expected != theirs.result:
            raise Difference(f"{act}: the model returns {expected}, the contracts {theirs.result}")
        if act.name in ("commit", "relay_signed"):
            self.order_ids[act.args[1]] = theirs.result
        elif act.name == "commit_many":
            self.order_ids.update(zip(act.args[1], theirs.result, strict=True))
        return ours

    def _model(self, act: Act) -> Ended:
        try:
            return Ended(getattr(self.protocol, act.name)(*act.args), None)
        except Refused as refused:
            return Ended(None, refused.reason)

    def _chain(self, act: Act) -> Ended:
        try:
            return Ended(self._calls[act.name](*act.args), None)
        except Revert as revert:
            return Ended(None, revert.reason)

    # -- equality

    def check(self, act: Act) -> None:
        """Compare what an act could have changed."""
        self._check_lines()
        given = list(_flat(act.args))
        orders = [one for one in given if isinstance(one, Order)]
        named = {one for one in given if isinstance(one, (bytes, int))}
        named.update(order.account for order in orders)
        named.update(order.instrument for order in orders)
        for account in self.accounts:
            if account in named or self.state.accounts[account] is not self._seen.get(account):
                self._check_account(account)
        for one in self.instruments:
            if one in named or self.state.markets[one] is not self._seen.get(one):
                self._check_market(one)
        for order in orders:
            self._check_order(order)
        if act.name in _POOL_ACTS:
            self._check_pool()
        if act.name == "post":
            self._check_price(act.args[0])
        if act.name == "sample" and self.state.ramps[act.args[0]] is not None:
            self._check_underlying(act.args[0])

    def sweep(self) -> None:
        """Compare everything, and hold the state to the laws of the whole."""
        self._check_lines()
        for account in self.accounts:
            self._check_account(account)
        for one in self.instruments:
            self._check_market(one)
        self._check_delegates()
        for order in list(self.order_ids):
            self._check_order(order)
            if self.state.orders[order] is None:
                del self.order_ids[order]
        self._check_pool()
        self._check_wallets()
        for feed in self.state.feeds:
            self._check_price(feed)
        for underlying in self.state.ramps:
            self._check_underlying(underlying)
        checks.ledger(self.state)
        checks.sums(self.state)
        checks.reserves(self.state)
        checks.claims(self.state)

    def _check_lines(self) -> None:
        state, world = self.state, self.world
        lines = state.lines
        _equal(
            "ledger",
            (lines.pool, lines.insurance, lines.protocol, lines.mark, lines.requirement),
            world.markets.ledger(),
        )
        _equal("debts", astuple(state.credit), world.debts.state())

    def _check_market(self, one: InstrumentId) -> None:
        found = self.state.markets[one]
        _equal(f"market {one}", market.encode(found), self.world.markets.market(one))
        self._check_losses(one)
        end = self.state.settlements[one]
        _equal(
            f"life of {one}",
            (self.state.listed(one).fill.status, (end.at, end.value)),
            (self.world.instruments.status(one), self.world.instruments.settlement(one)),
        )
        self._seen[one] = found

    def _check_losses(self, one: InstrumentId) -> None:
        """What was used of the limits of deficits."""
        state, underlying = self.state, self.state.listed(one).risk.underlying
        used, grouped, slices = state.used[one], state.grouped[underlying], state.slices
        charged, borne = state.charged[one], state.borne[one]
        _equal(
            f"losses of {one}",
            (
                used.insured | used.sliced << 96 | used.at << 192,
                grouped.sliced | grouped.at << 96,
                slices.sliced | slices.base << 96 | slices.at << 192,
                charged.longs | charged.shorts << 104 | charged.at << 208,
                borne.lost | borne.at << 96,
            ),
            tuple(self.world.losses.used(one, underlying)),
        )

    def _check_account(self, account: AccountId) -> None:
        record, clearinghouse = self.state.accounts[account], self.world.clearinghouse
        _equal(
            f"account {account.hex()}",
            accounts.encode(record),
            tuple(clearinghouse.account_word(account)),
        )
        for one in self.instruments:
            held = self.state.positions[account, one]
            _equal(
                f"position {account.hex()} {one}",
                (held.size, held.notional, held.index),
                clearinghouse.position(account, one),
            )
        for place, token in enumerate(self.tokens):
            _equal(
                f"collateral {account.hex()} {place}",
                self.state.collateral[account, place],
                self.world.vault.held(account, token.address),
            )
        _equal(
            f"debt index of {account.hex()}",
            self.state.debt_indices[account],
            self.world.debts.index_of(account),
        )
        _equal(
            f"rule of {account.hex()}",
            astuple(self.state.top_ups[account]),
            tuple(self.world.top_ups.rule(account)),
        )
        _equal(
            f"debt due of {account.hex()}",
            self.state.debt_due[account],
            self.world.liquidator.debt_due(account),
        )
        memory = self.state.memories[account]
        words, bound = [], 0
        if memory is not None:
            words = [one.instrument | one.long << 16 | one.lost << 32 for one in memory.losses]
            bound = memory.short | memory.at << 112
        _equal(
            f"losses of {account.hex()}",
            (tuple(words), bound),
            tuple(self.world.losses.remembered(account)),
        )
        self._seen[account] = record

    def check_assessment(self, account: AccountId) -> None:
        """I-41: what the views say of an account is what the model says of it."""
        try:
            ours = clearing.assess(self.state, account, Level.ANY)
        except Refused as refused:
            raise Difference(f"assess {account.hex()}: the model refuses: {refused}") from None
        theirs = self.world.clearinghouse.assess(account, 0)
        _equal(
            f"assessment {account.hex()}",
            (
                ours.equity,
                ours.equity_initial,
                ours.maintenance,
                ours.plain_initial,
                ours.initial,
                ours.settled_cash,
                ours.collateral_initial,
            ),
            (
                theirs.equity,
                theirs.equity_initial,
                theirs.maintenance,
                theirs.plain_initial,
                theirs.initial,
                theirs.cash - theirs.owed,
                theirs.collateral_initial,
            ),
        )
        try:
            due = liquidations.is_liquidatable(self.state, account)
        except Refused:
            due = False  # a price it needs is not fresh
        _equal(f"liquidatable {account.hex()}", due, self.world.liquidator.liquidatable(account))

    def check_liquidation_price(self, account: AccountId, instrument: InstrumentId) -> None:
        """I-41: the lens finds the prices that the model finds."""
        ours = views.liquidation_prices(self.state, account, instrument)
        _equal(
            f"liquidation prices {account.hex()} {instrument}",
            (ours.below or 0, ours.above or 0),
            self.world.lens.liquidation_price(account, instrument),
        )

    def check_views(self, account: AccountId, order: Order | None) -> None:
        """I-41: no view of an account, an instrument or the pool reverts, whatever the state."""
        world, owner = self.world, hexed(Address(account[:20]))
        lens, pool = world.lens, world.pool
        asked: list[tuple[Any, tuple[Any, ...]]] = [
            (lens.report, (account,)),
            (lens.preview_withdraw, (account,)),
            (world.liquidator.liquidatable, (account,)),
            (pool.nav, ()),
            (pool.totalAssets, ()),
            (pool.policy, ()),
            (pool.marked_accounts, ()),
        ]
        for one in self.instruments:
            asked.append((lens.liquidation_price, (account, one)))
            asked.append((lens.preview_liquidation, (account, one)))
            asked.append((world.markets.indices, (one,)))
        for feed in self.state.feeds:
            asked.append((world.hub.state, (feed,)))
        for side in Side:
            asked.append((pool.request, (side, owner)))
            asked.extend((pool.preview_request, (side, amount)) for amount in (0, 1, 10**24))
        asked.extend((pool.convertToShares, (amount,)) for amount in (0, 1, 10**24))
        asked.extend((pool.convertToAssets, (amount,)) for amount in (0, 1, 10**24))
        if order is not None:
            asked.append((lens.preview_order, (astuple(order),)))
            asked.append((world.orders.order_id, (astuple(order),)))
        for view, arguments in asked:
            try:
                view(*arguments)
            except Revert as revert:
                raise Difference(f"I-41 {view._name}{arguments} reverts: {revert}") from None

    def _check_order(self, order: Order) -> None:
        found = self.order_ids.get(order)
        if found is None:
            return
        live = self.state.orders[order]
        _equal(
            f"order {order}",
            (0, 0, 0, False, 0, 0, 0) if live is None else astuple(live),
            tuple(self.world.orders.commitment(found)),
        )

    def _check_delegates(self) -> None:
        """Brackets, nonces and mandates."""
        state, orders = self.state, self.world.orders
        for (account, number), stage in state.brackets.items():
            _equal(f"bracket {number}", int(stage), orders.bracket_stage(account, number))
        for (signer, place), used in state.nonces.items():
            _equal(f"nonces {place}", used, orders.used_nonces(hexed(signer), place))
        for (owner, delegate), mandate in state.mandates.items():
            pair = hexed(owner), hexed(delegate)
            _equal(f"mandate of {pair}", astuple(mandate), tuple(orders.mandate(*pair)))
            used_then = state.mandates_used[owner, delegate]
            today = used_then.day == state.now // DAY
            expected = (used_then.notional, used_then.fees) if today else (0, 0)
            _equal(f"use of {pair}", expected, tuple(orders.mandate_used(*pair)))

    def _check_pool(self) -> None:
        state, pool = self.state, self.world.pool
        _equal("supply", state.supply, pool.totalSupply())
        _equal("escrow", state.escrow, pool.escrow())
        _equal("marked accounts", state.marked, tuple(pool.marked_accounts()))
        for account in state.marked:
            _equal("shortfall", state.shortfalls[account], pool.shortfall(account))
        _equal("NAV", liquidity.nav(state), pool.nav())
        _equal("shares waiting", state.shares[POOL], pool.balanceOf(pool.address))
        for owner in self.owners:
            who = hexed(owner)
            _equal(f"shares {who}", state.shares[owner], pool.balanceOf(who))
            _equal(f"returned {who}", state.returned[owner], pool.returned(who))
            entry, leaving = state.claims[Side.ENTRY, owner], state.claims[Side.EXIT, owner]
            _equal(
                f"claims {who}",
                (entry.amount, entry.out, leaving.amount, leaving.out),
                (
                    pool.maxDeposit(who),
                    pool.maxMint(who),
                    pool.maxRedeem(who),
                    pool.maxWithdraw(who),
                ),
            )
            for side in Side:
                _equal(
                    f"request {side.name} {who}",
                    astuple(state.requests[side, owner]),
                    tuple(pool.request(side, who)),
                )

    def _check_underlying(self, underlying: int) -> None:
        ramp, estimate = self.state.ramps[underlying], self.state.estimates[underlying]
        assert ramp is not None
        assert estimate is not None
        world, one = self.world, InstrumentId(underlying)  # each has the instrument of its id
        _equal(f"ramp of {one}", astuple(ramp), tuple(world.instruments.ramp(one)))
        _equal(f"estimate of {one}", astuple(estimate), tuple(world.volatility.estimate(one)))
        inforce, least = self.state.listed(one), self.state.least_shock(one)
        word = world.instruments.underlying_terms(one)
        _equal(
            f"in force of {one}",
            (
                inforce.underlying.shock_ppm,
                inforce.initial_shock_ppm,
                inforce.scan.sigma_ppm,
                ramp.target(least),
            ),
            (word >> 16 & MASK, word >> 168 & MASK, word >> 192 & MASK, word >> 216),
        )
        load = self.state.load
        _equal("load", (load.fast, load.slow, load.cell), tuple(world.volatility.load()))

    def _check_price(self, feed: FeedId) -> None:
        about, stored = self.state.feeds.get(feed), self.state.prices[feed]
        if about is None or stored is None:
            return
        found = self.world.hub.state(feed)
        unit = 10 ** (18 - about.decimals)
        _equal(
            f"price of {feed}",
            (stored.median * unit, stored.conf_ppm, stored.slot, stored.slot - stored.gap),
            (found.price_wad, found.conf_ppm, found.slot, found.previous),
        )
        for remembered in self._remembered(feed):
            _equal(
                f"slot {remembered.slot} of {feed}",
                (
                    remembered.high * unit,
                    remembered.low * unit,
                    remembered.median * unit,
                    remembered.slot - remembered.gap,
                ),
                tuple(self.world.hub.slot_price(feed, remembered.slot)),
            )

    def _remembered(self, feed: FeedId) -> Iterable[Any]:
        """The newest few slots of a feed."""
        about = self.state.feeds[feed]
        newest = self.state.prices[feed]
        assert newest is not None
        for slot in range(newest.slot, newest.slot - 4 * about.grid_seconds, -about.grid_seconds):
            found = self.state.ring[feed, slot // about.grid_seconds % about.ring_length]
            if found is not None and found.slot == slot:
                yield found

    def _check_wallets(self) -> None:
        """I-03: no token is anywhere but where the acts have sent it."""
        for token, contract in self._contracts().items():
            for holder in (*self.owners, *self._holders):
                _equal(
                    f"token {token} of {holder!r}",
                    self.state.wallets[token, holder],
                    contract.balanceOf(self._holders.get(holder) or hexed(holder)),
                )

    def _contracts(self) -> dict[int, Any]:
        return {SETTLEMENT: self.world.usdc, **dict(enumerate(self.tokens))}

    def _read_wallets(self) -> None:
        """Take over the token balances of every holder at the start."""
        with self.state.attempt():
            for token, contract in self._contracts().items():
                for holder in (*self.owners, *self._holders):
                    held = contract.balanceOf(self._holders.get(holder) or hexed(holder))
                    self.state.wallets[token, holder] = held


# ---------------------------------------------------------------- the contracts' side of an act

_POOL_ACTS = frozenset(
    {
        "request_deposit",
        "request_redeem",
        "set_operator",
        "execute_requests",
        "lapse_requests",
        "mark",
        "claim_deposit",
        "claim_mint",
        "claim_redeem",
        "claim_withdraw",
        "claim_returned",
        "transfer_shares",
    }
)

_ANY = object()


def _same(result: Any) -> Any:
    return result


# What the contracts return, from what the model returns; those not named return the same.
_EXPECTED: dict[str, Callable[[Any], Any]] = {
    "commit": lambda _: _ANY,
    "commit_many": lambda _: _ANY,
    "relay_signed": lambda _: _ANY,
    "trigger": lambda _: None,
    "call": lambda _: None,
    "expire": lambda _: None,
    "collect_protocol": lambda _: None,
    "execute": int,
    "execute_many": lambda all_: tuple(SKIPPED if one is None else int(one) for one in all_),
    "liquidate": lambda done: done.reward,
    "liquidate_many": lambda all_: sum(one is not None for one in all_),
}


def _calls(twin: Twin) -> dict[str, Callable[..., Any]]:
    """For each act, the transaction that does it."""
    world = twin.world
    house, orders, pool, vault = world.clearinghouse, world.orders, world.pool, world.vault
    liquidator, keeper = world.liquidator, world.keeper
    post_selector = world.hub.post.encode(0, 0, 0, [])[:4]

    def token(place: int) -> str:
        known = place < len(twin.tokens)
        return str(twin.tokens[place].address) if known else "0x" + "77" * 20

    def post(feed: int, slot: int, previous: int, reports: Sequence[Report]) -> bool:
        words = [feed, slot, previous, 128, len(reports)]
        for report in reports:
            words.extend(twin.signer.sign(feed, slot, previous, report))
        data = post_selector + b"".join([one.to_bytes(32, "big") for one in words])
        return int.from_bytes(world.evm.transact(world.hub.address, data, keeper), "big") == 1

    def many(targets: Sequence[tuple[AccountId, int]], who: Address) -> int:
        found = liquidator.liquidate_many(
            [one for one, _ in targets], [one for _, one in targets], sender=hexed(who)
        )
        return int(found)

    def relay_signed(
        who: Address,
        order: Order,
        fee: int,
        deadline: int,
        signer: Address,
        by: Address | None,
    ) -> bytes:
        digest = orders.order_digest(astuple(order), fee, deadline)
        signature = twin.signer.signature(bytes(digest), by)
        found = orders.relay_signed(
            astuple(order), fee, deadline, hexed(signer), signature, sender=hexed(who)
        )
        return bytes(found)

    def execute_many(who: Address, batch: Sequence[tuple[Order, int]]) -> tuple[int, ...]:
        found = orders.execute_many(
            [astuple(one) for one, _ in batch], [slot for _, slot in batch], sender=hexed(who)
        )
        return tuple(found)

    def asks(function: Any) -> Callable[..., Any]:
        return lambda who, amount, controller, owner, least: function(
            amount, hexed(controller), hexed(owner), least, sender=hexed(who)
        )

    def claims(function: Any) -> Callable[..., Any]:
        return lambda who, amount, receiver, controller: function(
            amount, hexed(receiver), hexed(controller), sender=hexed(who)
        )

    def quiet(function: Callable[..., Any]) -> Callable[..., None]:
        """Of an act whose answer is not compared (a token's `true`, a request's id 0)."""

        def call(*args: Any) -> None:
            function(*args)

        return call

    return {
        "deposit": lambda who, account, amount: house.deposit(account, amount, sender=hexed(who)),
        "withdraw": lambda who, account, amount, receiver: house.withdraw(
            account, amount, hexed(receiver), sender=hexed(who)
        ),
        "move_cash": lambda who, source, target, amount: house.move_cash(
            source, target, amount, sender=hexed(who)
        ),
        "move_position": lambda who, source, target, one: house.move_position(
            source, target, one, sender=hexed(who)
        ),
        "set_mode": lambda who, account, mode: house.set_mode(account, mode, sender=hexed(who)),
        "accrue_debt": lambda: house.accrue_debt(sender=keeper),
        "fund_insurance": lambda who, amount: house.fund_insurance(amount, sender=hexed(who)),
        "collect_protocol": lambda receiver: house.collect_protocol(
            hexed(receiver), sender=world.governor
        ),
        "donate": quiet(
            lambda who, amount: world.usdc.transfer(house.address, amount, sender=hexed(who))
        ),
        "accrue": lambda ones: world.markets.accrue(list(ones), sender=keeper),
        "set_status": lambda one, status: world.instruments.set_status(
            one, status, sender=world.governor
        ),
        "halt": lambda who, ones: world.instruments.halt(list(ones), sender=hexed(who)),
        "resume": lambda who, ones: world.instruments.resume(list(ones), sender=hexed(who)),
        "delist": lambda one, at: world.instruments.delist(one, at, sender=world.governor),
        "settle_instrument": lambda one, slot: world.markets.settle_instrument(
            one, slot, sender=keeper
        ),
        "settle_positions": lambda some, one: liquidator.settle_positions(
            list(some), one, sender=keeper
        ),
        "post": post,
        "sample": lambda underlying, slot: world.volatility.sample(underlying, slot, sender=keeper),
        "commit": lambda who, order: orders.commit(astuple(order), sender=hexed(who)),
        "commit_many": lambda who, batch: orders.commit_many(
            [astuple(one) for one in batch], sender=hexed(who)
        ),
        "relay_signed": relay_signed,
        "cancel_nonces": lambda who, place, mask: orders.cancel_nonces(
            place, mask, sender=hexed(who)
        ),
        "set_delegate": lambda who, delegate, mandate: orders.set_delegate(
            hexed(delegate), astuple(mandate), sender=hexed(who)
        ),
        "trigger": lambda who, order, slot: orders.trigger(astuple(order), slot, sender=hexed(who)),
        "cancel": lambda who, order: orders.cancel(astuple(order), sender=hexed(who)),
        "execute": lambda who, order, slot: orders.execute(astuple(order), slot, sender=hexed(who)),
        "execute_many": execute_many,
        "expire": lambda order, slot: orders.expire(astuple(order), slot, sender=keeper),
        "call": lambda account: liquidator.call(account, sender=keeper),
        "liquidate": lambda who, account, one, most: liquidator.liquidate(
            account, one, most, sender=hexed(who)
        ),
        "liquidate_many": lambda who, targets: many(targets, who),
        "absorb": lambda account: liquidator.absorb(account, sender=keeper),
        "set_top_up": lambda who, account, *rule: world.top_ups.set_rule(
            account, *rule, sender=hexed(who)
        ),
        "top_up": lambda account: world.top_ups.top_up(account, sender=keeper),
        "mark_debt": lambda account: liquidator.mark_debt(account, sender=keeper),
        "repay_with_collateral": lambda who, account, place, cash, least: (
            liquidator.repay_with_collateral(account, token(place), cash, least, sender=hexed(who))
        ),
        "deposit_collateral": lambda who, account, place, amount: vault.deposit(
            account, token(place), amount, sender=hexed(who)
        ),
        "withdraw_collateral": lambda who, account, place, amount, receiver: vault.withdraw(
            account, token(place), amount, hexed(receiver), sender=hexed(who)
        ),
        "move_collateral": lambda who, source, target, place, amount: vault.move(
            source, target, token(place), amount, sender=hexed(who)
        ),
        "request_deposit": quiet(asks(pool.requestDeposit)),
        "request_redeem": quiet(asks(pool.requestRedeem)),
        "set_operator": quiet(
            lambda who, operator, approved: pool.setOperator(
                hexed(operator), approved, sender=hexed(who)
            )
        ),
        "execute_requests": lambda entries, exits: pool.execute(
            [hexed(one) for one in entries], [hexed(one) for one in exits], sender=keeper
        ),
        "mark": lambda account: pool.mark(account, sender=keeper),
        "lapse_requests": lambda entries, exits: pool.lapse(
            [hexed(one) for one in entries], [hexed(one) for one in exits], sender=keeper
        ),
        "claim_deposit": claims(pool.deposit),
        "claim_mint": claims(pool.mint),
        "claim_redeem": claims(pool.redeem),
        "claim_withdraw": claims(pool.withdraw),
        "claim_returned": lambda who, receiver, controller: pool.claim_returned(
            hexed(receiver), hexed(controller), sender=hexed(who)
        ),
        "transfer_shares": quiet(
            lambda source, target, shares: pool.transfer(
                hexed(target), shares, sender=hexed(source)
            )
        ),
    }


# ---------------------------------------------------------------- the model's beginning


def _state_of(world: World, tokens: Sequence[Any], instruments: Sequence[InstrumentId]) -> State:
    """A model of an untouched deployment, with the figures that the contracts hold."""
    safety, debt = world.markets.safety(), world.risk_engine.margin_terms()
    calls, orders, pool = world.liquidator.call_terms(), world.orders.policy(), world.pool.policy()
    lending = world.debts.terms()
    parameters = Parameters(
        settlement_decimals=world.usdc.decimals(),
        forced_window_seconds=safety[3],
        upnl_ppm=debt.upnl_ppm,
        debt_maintenance_ppm=debt.debt_maintenance_ppm,
        debt_initial_ppm=debt.debt_initial_ppm,
        debt_cap=lending.cap_wad,
        debt_share_ppm=lending.share_ppm,
        debt_curve=Curve(*lending[2:]),
        pool_factor_ppm=safety[1],
        pool_low_ppm=safety[2],
        losses=Limits(*world.losses.terms_in_force()),
        calls=Policy(calls.call_ppm, calls.hard_ppm, calls.isolated_grace, calls.cross_grace),
        debt_sale_threshold=world.liquidator.debt_threshold(),
        debt_discount_ppm=world.vault.sale_discount_ppm(),
        debt_grace_seconds=world.liquidator.debt_timing()[0],
        debt_rise_seconds=world.liquidator.debt_timing()[1],
        order_delay_seconds=orders.delay_seconds,
        order_window_seconds=orders.window_seconds,
        order_buffer_ppm=orders.buffer_ppm,
        request_delay_seconds=pool.delay_seconds,
        request_window_seconds=pool.window_seconds,
        exit_fee_ppm=pool.exit_fee_ppm,
        exit_factor_ppm=pool.exit_factor_ppm,
        quorum=world.hub.quorum(),
        reporters=frozenset(address(one) for one in world.hub.all_reporters()),
        guardian=address(world.guardian),
        insurance_caps={
            InstrumentId(one): world.losses.insurance_cap(one) for one in (0, *instruments)
        },
    )
    feeds = {}
    for feed in range(1, world.hub.feed_count() + 1):
        config = world.hub.feed_config(feed)
        feeds[FeedId(feed)] = Feed(
            decimals=config.decimals,
            grid_seconds=config.grid_seconds,
            ring_length=config.ring_length,
            width_ppm=config.width_ppm,
            max_age_seconds=config.max_age_seconds,
            max_age_recent_seconds=config.max_age_recent_seconds,
            conf_max_ppm=config.conf_max_ppm,
        )
    listings = [world.vault.listing(token.address) for token in tokens]
    state = State(
        parameters,
        feeds,
        [
            Token(
                FeedId(one.feed),
                one.decimals,
                Haircut(one.from_ppm, one.target_ppm, one.since, one.slope_ppm),
                one.cap,
            )
            for one in listings
        ],
        {one: terms.decode(*world.instruments.terms(one)) for one in instruments},
        world.evm.timestamp,
    )
    with state.attempt():
        state.credit = Credit(*world.debts.state())
        for feed, about in feeds.items():
            found = world.hub.state(feed)
            high, low, median, previous = world.hub.slot_price(feed, found.slot)
            unit = 10 ** (18 - about.decimals)
            gap = found.slot - previous
            stored = StoredPrice(
                median // unit, high // unit, low // unit, found.conf_ppm, found.slot, gap
            )
            state.prices[feed] = stored
            state.ring[feed, found.slot // about.grid_seconds % about.ring_length] = stored
        for underlying in range(1, world.instruments.underlying_count() + 1):
            state.ramps[underlying] = Ramp(*world.instruments.ramp(underlying))
            estimate = Estimate(*world.volatility.estimate(underlying))
            if estimate.slow:
                state.estimates[underlying] = estimate
                told = VolatilityTerms(*world.volatility.terms(underlying))
                state.volatility_terms[underlying] = told
    state.congestion = CongestionTerms(*world.volatility.congestion_terms())
    return state


# ---------------------------------------------------------------- details


class Signer:
    """Signs reports as the hub takes them, at the speed of the curve's own library."""

    def __init__(self, world: World) -> None:
        hub = Address(bytes.fromhex(world.hub.address[2:]))
        self._domain = domain_separator(CHAIN_ID, hub)
        self._keys = {
            Address(bytes.fromhex(one.address[2:])): PrivateKey(bytes(one.key))
            for one in world.reporters.accounts
        }
        self._stranger = PrivateKey(b"\1" * 32)
        self._owners: dict[Address, PrivateKey] = {}
        self.reporters = list(self._keys)

    def wallet(self, name: str) -> Address:
        """A wallet that can sign orders."""
        key = PrivateKey(keccak(text=name))
        owner = Address(keccak(key.public_key.format(compressed=False)[1:])[12:])
        self._owners[owner] = key
        return owner

    def signature(self, digest: bytes, signer: Address | None) -> bytes:
        """r, s, v; nobody's is not one, that of a wallet without key here a stranger's."""
        key = self._owners.get(signer or STRANGER, self._stranger)
        made = key.sign_recoverable(digest, hasher=None)
        return bytes(made[:64]) + bytes([29 if signer is None else 27 + made[64]])

    def sign(self, feed: int, slot: int, previous: int, report: Report) -> tuple[int, ...]:
        """(price, confidence, v, r, s); nobody's signature is not one, a stranger's is his."""
        said = (feed, slot, previous, report.price, report.conf_ppm)
        content = keccak(REPORT_TYPE + b"".join(one.to_bytes(32, "big") for one in said))
        message = keccak(b"\x19\x01" + self._domain + content)
        key = self._keys.get(report.reporter or STRANGER, self._stranger)
        made = key.sign_recoverable(message, hasher=None)
        r, s = int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big")
        v = 29 if report.reporter is None else 27 + made[64]
        return report.price, report.conf_ppm, v, r, s


def _outcome(result: Any) -> str:
    """What a result says of how an act went, beyond that it did."""
    if isinstance(result, IntEnum):
        return f"ended: {result.name.lower()}"
    if isinstance(result, bool):
        return "changed" if result else "unchanged"
    if isinstance(result, list):
        done = sum(one is not None for one in result)
        return "all done" if done == len(result) else "some done" if done else "none done"
    return "ok"


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for one in values:
        if isinstance(one, (tuple, list)):
            yield from _flat(one)
        else:
            yield one


def _same_refusal(ours: str | None, theirs: str | None) -> bool:
    if ours == "token: balance too small":
        return theirs is not None and theirs.startswith("ERC20InsufficientBalance")
    return ours == theirs


def _how(ended: Ended) -> str:
    if ended.refusal is None:
        return f"returns {ended.result}"
    return f"refuses: {ended.refusal!r}"


def _equal(what: str, ours: Any, theirs: Any) -> None:
    if ours != theirs:
        raise Difference(f"{what}: model {ours}, contracts {theirs}")


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_shown(one) for one in value) + "]"
    return str(value)
