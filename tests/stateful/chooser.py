"""Which act comes next: mostly sensible, sometimes extreme, sometimes plainly wrong."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from keeper.core.accounts import mode_of
from keeper.core.protocol import oracle, orders
from keeper.core.protocol.liquidity import VIRTUAL
from keeper.core.protocol.markets import SHORTS_LOST
from keeper.core.protocol.state import Mandate, Order, Side
from keeper.core.quotes import Report
from keeper.core.types import (
    AccountId,
    Address,
    FeedId,
    InstrumentId,
    Mode,
    Refused,
    Status,
    owner_of,
)
from keeper.core.units import DAY, WAD
from keeper.core.volatility import CELL
from scripts.parameters.units import WAD as _WAD
from tests.stateful.scene import Scene
from tests.stateful.twin import STRANGER, UNKNOWN_TOKEN, Act
from tests.support.world import FEED_DECIMALS, PRICES, USD

assert _WAD == WAD

NOBODY = Address(bytes(20))
UNKNOWN = InstrumentId(99)
LOWEST, HIGHEST = 0.05, 20.0  # prices stay within these times where they began
WORRYING = 0.09  # equity over notional below which an account may be due
REMEMBERED = 40  # slots of a feed that orders are matched with

AMOUNTS = (0, 1, 2**60, 2**100, 2**200, 2**255, 2**256 - 1)  # beside sensible ones
SIZES = (0, 1, -1, 10**30, -(10**30), 2**92 - 1, 2**92, -(2**92), 2**255 - 1, -(2**255))


class Chooser:
    """Draws acts from a seed and from the state that the model is in."""

    def __init__(self, scene: Scene, rng: random.Random) -> None:
        self.scene, self.rng = scene, rng
        self.twin, self.state = scene.twin, scene.twin.state
        self.prices = {FeedId(one): float(usd) for one, usd in PRICES.items()}
        self.slots: dict[FeedId, deque[tuple[int, int]]] = {
            feed: deque(maxlen=REMEMBERED) for feed in self.prices
        }
        self.queue: deque[Act] = deque()
        self.live: list[Order] = []
        self._salt = 0
        self._crash = 0
        self._volatility = rng.choice((0.0005, 0.002, 0.006))
        self._makers: list[tuple[Callable[[], Act], float]] = [
            (self._tick, 6),
            (self._commit, 16),
            (self._place, 6),
            (self._commit_bracket, 2),
            (self._relay_signed, 3),
            (self._cancel_nonces, 0.2),
            (self._set_delegate, 0.6),
            (self._trigger, 8),
            (self._execute, 16),
            (self._sample, 4),
            (self._execute_many, 1),
            (self._cancel, 2),
            (self._expire, 3),
            (self._deposit, 4),
            (self._withdraw, 6),
            (self._move_cash, 2),
            (self._move_position, 2.5),
            (self._set_mode, 1.5),
            (self._fund_insurance, 0.3),
            (self._donate, 0.2),
            (self._accrue_debt, 0.5),
            (self._collect, 0.2),
            (self._accrue, 3),
            (self._call, 4),
            (self._liquidate, 7),
            (self._liquidate_many, 2),
            (self._absorb, 1.5),
            (self._repay, 2.5),
            (self._mark_debt, 1.2),
            (self._set_top_up, 0.7),
            (self._top_up, 2),
            (self._deposit_collateral, 3),
            (self._withdraw_collateral, 3),
            (self._move_collateral, 1.5),
            (self._request_deposit, 1.2),
            (self._request_redeem, 1.2),
            (self._execute_requests, 2.5),
            (self._lapse, 0.6),
            (self._mark, 1.5),
            (self._claim, 2.5),
            (self._claim_returned, 0.4),
            (self._operator, 0.2),
            (self._transfer_shares, 0.4),
            (self._set_status, 0.9),
            (self._halt, 0.5),
            (self._delist, 0.1),
            (self._settle_instrument, 0.6),
            (self._settle_positions, 1.2),
        ]

    def next(self) -> Act:
        """The next act; time may have passed before it."""
        if self.queue:
            return self.queue.popleft()
        makers, weights = zip(*self._makers, strict=True)
        act: Act = self.rng.choices(makers, weights)[0]()
        return act

    def happened(self, act: Act, refused: bool) -> None:
        """Learn from an act that was done."""
        if refused:
            return
        if act.name == "post":
            feed, slot, previous, _ = act.args
            self.slots[feed].append((slot, previous))
        elif act.name in ("commit", "relay_signed"):
            self.live.append(act.args[1])
        elif act.name == "commit_many":
            self.live.extend(act.args[1])

    # -- time and prices

    def _tick(self) -> Act:
        rng = self.rng
        roll = rng.random()
        if roll < 0.86:
            seconds = rng.randint(1, 8)
        elif roll < 0.95:
            seconds = rng.randint(10, 150)
        elif roll < 0.985:
            seconds = rng.randint(200, 7_200)
        else:
            seconds = rng.randint(7_200, 6 * 86_400)
        self._move_prices(seconds)
        feeds = list(self.prices)
        rng.shuffle(feeds)
        if rng.random() < 0.12:
            feeds = feeds[: rng.randint(1, len(feeds) - 1)]
        self.queue.extend(self._post(feed, seconds) for feed in feeds)
        return Act("pass_time", (seconds,))

    def _move_prices(self, seconds: int) -> None:
        rng = self.rng
        if self._crash == 0 and rng.random() < 0.004:
            self._crash = rng.randint(1, 4)
        together = rng.gauss(0, 1)
        for feed in self.prices:
            step = (0.7 * together + 0.7 * rng.gauss(0, 1)) * self._volatility
            step *= min(seconds, 400) ** 0.5
            if rng.random() < 0.01:
                step += rng.uniform(-0.15, 0.15)
            if self._crash:
                step += rng.uniform(-0.35, -0.08) if rng.random() < 0.9 else 0.0
            first = float(PRICES[feed])
            moved = self.prices[feed] * max(0.4, min(2.5, 1 + step))
            self.prices[feed] = max(first * LOWEST, min(first * HIGHEST, moved))
            # far from home, drift back: a walk that stays at its bound meets little
            self.prices[feed] *= (first / self.prices[feed]) ** 0.002
        self._crash = max(0, self._crash - 1)

    def _post(self, feed: FeedId, seconds: int) -> Act:
        """A quorum for a slot of now, nearly always a good one."""
        rng = self.rng
        now = self.state.now + seconds  # the queue runs after time has passed
        newest = self.state.prices[feed]
        assert newest is not None
        slot, previous = now, newest.slot
        if rng.random() < 0.06:
            slot = rng.randint(max(1, now - 60), now)
            previous = slot - rng.randint(1, 30)
        middle = max(3, int(self.prices[feed] * 10**FEED_DECIMALS))
        spread = middle // 2_000 if rng.random() < 0.5 else 0
        prices = sorted(middle + rng.randint(-spread, spread) // 2 for _ in range(3))
        conf = rng.choice((0, 100, 200, 400))
        reporters: list[Address | None] = list(rng.sample(self.twin.signer.reporters, len(prices)))
        if rng.random() < 0.03:
            conf = rng.randint(4_000, 20_000)
        if rng.random() < 0.08:
            return self._spoiled_post(feed, slot, previous, prices, conf, reporters)
        reports = self._reports(reporters, prices, conf)
        return Act("post", (feed, slot, previous, reports))

    def _spoiled_post(
        self,
        feed: FeedId,
        slot: int,
        previous: int,
        prices: list[int],
        conf: int,
        reporters: list[Address | None],
    ) -> Act:
        rng = self.rng
        wrong = rng.randrange(10)
        if wrong == 0:
            slot += rng.choice((1, 3_600))
        elif wrong == 1:
            previous = slot + rng.choice((0, 5))
        elif wrong == 2:
            prices[-1] = prices[-1] * 11 // 10
        elif wrong == 3:
            prices[0] = 0
        elif wrong == 4:
            prices[0], prices[-1] = prices[-1] + 1, prices[0]
        elif wrong == 5:
            reporters[rng.randrange(3)] = None
        elif wrong == 6:
            reporters[rng.randrange(3)] = STRANGER
        elif wrong == 7:
            reporters[2] = reporters[0]
        elif wrong == 8:
            feed = FeedId(9)
        else:
            keep = rng.choice((2, 4))
            prices = (prices * 2)[:keep]
            prices.sort()
            reporters = (reporters * 2)[:keep]
        return Act("post", (feed, slot, previous, self._reports(reporters, prices, conf)))

    def _reports(
        self, reporters: list[Address | None], prices: list[int], conf: int
    ) -> tuple[Report, ...]:
        confs = [max(0, conf - self.rng.randint(0, 50)) for _ in prices]
        confs[self.rng.randrange(len(confs))] = conf
        return tuple(
            Report(who, price, each)
            for who, price, each in zip(reporters, prices, confs, strict=True)
        )

    def _sample(self) -> Act:
        """Mostly the newest slot that is the first of its cell; sometimes any."""
        rng = self.rng
        feed = rng.choice(list(self.slots))
        known = list(self.slots[feed])
        firsts = [slot for slot, previous in known if previous < slot - slot % CELL]
        slot = self.state.now
        if firsts and rng.random() < 0.8:
            slot = firsts[-1]
        elif known:
            slot = rng.choice(known)[0]
        if rng.random() < 0.05:
            slot = rng.choice((0, 1, self.state.now + 1, slot - 300, slot + 1))
        return Act("sample", (int(feed) if rng.random() < 0.98 else 9, slot))

    # -- orders

    def _commit(self) -> Act:
        rng = self.rng
        account = self._account()
        instrument = self._order_instrument(account)
        order = Order(
            account=account,
            instrument=instrument,
            size=self._order_size(account, instrument),
            acceptable=0,
            reduce_only=rng.random() < 0.12,
            execution_fee=0 if rng.random() < 0.4 else rng.randint(1, 5 * WAD),
            salt=self._next_salt(),
        )
        price = self._price_wad(instrument)
        if rng.random() < 0.3:
            slack = rng.choice((-300, -20, 20, 100, 1_000))
            side = 1 if order.size > 0 else -1
            order = replace(order, acceptable=price * (10_000 + side * slack) // 10_000)
        if rng.random() < 0.03:
            order = replace(order, size=rng.choice(SIZES))
        if rng.random() < 0.02:
            order = replace(order, execution_fee=rng.choice((10**24, 2**92 - 1, 2**92, 2**255)))
        if rng.random() < 0.02:
            order = replace(order, acceptable=rng.choice((1, 2**128 - 1, 2**128, 2**256 - 1)))
        if self.live and rng.random() < 0.02:
            order = rng.choice(self.live)
        return Act("commit", (self._trader(order), order))

    def _trader(self, order: Order) -> Address:
        """The owner, now and then his delegate or somebody else."""
        owner = owner_of(order.account)
        delegates = [who for (one, who), _ in self.state.mandates.items() if one == owner]
        if delegates and self.rng.random() < 0.2:
            return self.rng.choice(delegates)
        return self._maybe_other(owner)

    def _place(self) -> Act:
        """An order that waits: often for a price that is here already, or nearly."""
        act = self._commit()
        order = self._waiting(act.args[1])
        if self.rng.random() < 0.15:
            order = replace(order, bracket=self.rng.randint(1, 6))
        return Act("commit", (act.args[0], order))

    def _waiting(self, order: Order, kind: int | None = None) -> Order:
        """The order with a trigger, sometimes one that makes no sense."""
        rng = self.rng
        kind = rng.choice((1, 2, 3)) if kind is None else kind
        if kind == 3 and rng.random() < 0.9:
            order = replace(order, reduce_only=True)
        price = self._price_wad(order.instrument)
        trigger = int(price * (1 + rng.gauss(0, 0.01)))
        expiry = 0 if rng.random() < 0.5 else self.state.now + rng.randint(0, 900)
        order = replace(order, kind=kind, trigger=trigger, expiry=expiry, acceptable=0)
        if rng.random() < 0.03:
            kind, trigger = rng.choice(((4, trigger), (kind, 0), (kind, 1 << 128), (0, trigger)))
            order = replace(order, kind=kind, trigger=trigger)
        if rng.random() < 0.02:
            order = replace(order, expiry=self.state.now - 1)
        return order

    def _commit_bracket(self) -> Act:
        """An entry with its stop and its profit, sometimes the exits alone."""
        rng = self.rng
        act = self._commit()
        number = rng.randint(1, 12)
        entry = replace(act.args[1], bracket=number, reduce_only=False)
        if rng.random() < 0.3:
            entry = self._waiting(entry, rng.choice((1, 2)))
        leave = replace(entry, size=-max(entry.size, -(2**92)), reduce_only=True)
        exits = [self._waiting(replace(leave, salt=self._next_salt()), kind) for kind in (2, 3)]
        batch = exits if rng.random() < 0.1 else [entry, *exits]
        return Act("commit_many", (act.args[0], tuple(batch)))

    def _relay_signed(self) -> Act:
        """Mostly the owner's signature, sometimes a delegate's, late, used or forged."""
        rng = self.rng
        order = self._commit().args[1]
        if rng.random() < 0.3:
            order = self._waiting(order)
        if rng.random() < 0.1:
            order = replace(order, salt=rng.randint(0, 3))
        owner = owner_of(order.account)
        signer = owner if rng.random() < 0.8 else rng.choice(self.scene.owners)
        by = signer if rng.random() < 0.9 else rng.choice((None, *self.scene.owners))
        fee = rng.choice((0, 0, 0, rng.randint(1, 3 * WAD), rng.randint(1, 3 * WAD), 1 << 92))
        deadline = self.state.now + rng.choice((-1, 0, 60, 1 << 60))
        return Act(
            "relay_signed", (rng.choice(self.scene.actors), order, fee, deadline, signer, by)
        )

    def _cancel_nonces(self) -> Act:
        mask = 1 << self.rng.randint(0, 255)
        who = self.rng.choice(self.scene.owners)
        return Act("cancel_nonces", (who, self._salt // 256, mask))

    def _set_delegate(self) -> Act:
        rng = self.rng
        owner, delegate = rng.choice(self.scene.owners), rng.choice(self.scene.owners)
        mandate = Mandate(
            expiry=rng.choice((0, self.state.now + rng.randint(0, 100_000), (1 << 40) - 1)),
            instruments=rng.choice((0b11110, 0b10, (1 << 256) - 1)),
            every_bucket=rng.random() < 0.5,
            bucket=rng.randint(0, 2),
            daily_usd=rng.choice((1_000, 200_000, (1 << 48) - 1)),
            daily_fees_usd=rng.choice((0, 5, 1_000)),
        )
        if rng.random() < 0.05:
            mandate = replace(mandate, expiry=1 << 40)
        return Act("set_delegate", (owner, delegate, mandate))

    def _trigger(self) -> Act:
        """Mostly an order whose price is here, with a slot that shows it."""
        rng = self.rng
        self._forget_ended()
        waiting = [one for one in self.live if self._commitment(one).waits]
        if not waiting:
            return self._place()
        met = [(one, slot) for one in waiting if (slot := self._met(one)) is not None]
        if met and rng.random() < 0.9:
            order, slot = rng.choice(met)
        else:
            order = rng.choice(self.live if rng.random() < 0.05 else waiting)
            slots = self.slots[FeedId(1)] or [(self.state.now, 0)]
            slot = rng.choice(slots)[0]
        return Act("trigger", (rng.choice(self.scene.actors), order, slot))

    def _met(self, order: Order) -> int | None:
        """A slot that would trigger a waiting order now."""
        state, placed = self.state, self._commitment(order).placed
        if self.rng.random() < 0.9 and orders.is_dead(state, order):
            return None
        stage = state.brackets[order.account, order.bracket]
        if order.bracket and order.reduce_only and not stage and self.rng.random() < 0.9:
            return None
        feed = state.listed(order.instrument).underlying.feed
        for slot, _ in reversed(self.slots[feed]):
            if slot <= placed or slot + orders.TRIGGER_AGE < state.now:
                continue
            try:
                shown = oracle.slot_price(state, feed, slot)
            except Refused:
                continue
            if orders.is_met(order, oracle.wad(state, feed, shown.median), shown.conf_ppm):
                return slot
        return None

    def _order_instrument(self, account: AccountId) -> InstrumentId:
        """Any, but for an isolated account mostly the one that it holds."""
        record = self.state.accounts[account]
        if record.book and mode_of(account, record) is Mode.ISOLATED and self.rng.random() < 0.85:
            return record.book[0]
        return self._instrument()

    def _order_size(self, account: AccountId, instrument: InstrumentId) -> int:
        """Often against what is held, else some notional, sometimes beyond what margin bears."""
        rng = self.rng
        held = self.state.positions[account, instrument].size
        if held and rng.random() < 0.45:
            part = rng.choice((0.001, 0.3, 0.7, 0.999, 1.0, 1.0, 1.0, 1.5, 2.0))
            return -held if part == 1.0 else -int(held * part)
        worth = max(100, self.state.accounts[account].cash // WAD)
        notional = worth * (rng.uniform(0.2, 3) if rng.random() < 0.4 else rng.uniform(3, 14))
        size = int(notional * WAD * WAD / self._price_wad(instrument))
        return size if rng.random() < 0.5 else -size

    def _execute(self) -> Act:
        if self.rng.random() < 0.97 and not any(self._executable(one) for one in self.live):
            return self._commit() if self.rng.random() < 0.7 else self._tick()
        order, slot = self._due_order()
        return Act("execute", (self.rng.choice(self.scene.actors), order, slot))

    def _execute_many(self) -> Act:
        batch = tuple(self._due_order() for _ in range(self.rng.randint(1, 5)))
        return Act("execute_many", (self.rng.choice(self.scene.actors), batch))

    def _due_order(self) -> tuple[Order, int]:
        """A live order with the slot that fills it, if there is one; else something wrong."""
        rng = self.rng
        self._forget_ended()
        now = self.state.now
        ready = [one for one in self.live if self._executable(one)]
        if ready and rng.random() < 0.96:
            order = rng.choice(ready)
            slot = self._first_slot(order)
            return order, slot if slot and rng.random() < 0.97 else now - rng.randint(0, 9)
        order = rng.choice(self.live) if self.live else self._unknown_order()
        if rng.random() < 0.1:
            order = self._unknown_order()
        return order, self._first_slot(order) or now - rng.randint(0, 9)

    def _executable(self, order: Order) -> bool:
        commitment = self.state.orders[order]
        if commitment is None or not commitment.due <= self.state.now <= commitment.deadline:
            return False
        return self._first_slot(order) is not None

    def _first_slot(self, order: Order) -> int | None:
        commitment = self.state.orders[order]
        if commitment is None or commitment.waits:
            return None
        for slot, previous in sorted(self.slots[commitment.feed]):
            if slot >= commitment.due and previous < commitment.due:
                return slot
        return None

    def _cancel(self) -> Act:
        self._forget_ended()
        order = self.rng.choice(self.live) if self.live else self._unknown_order()
        if self.rng.random() < 0.05:
            order = self._unknown_order()
        return Act("cancel", (self._trader(order), order))

    def _expire(self) -> Act:
        rng = self.rng
        self._forget_ended()
        over = [one for one in self.live if self._commitment(one).deadline < self.state.now]
        order = rng.choice(over or self.live or [self._unknown_order()])
        slot = self._first_slot(order)
        newest = self.state.prices[FeedId(1)]
        assert newest is not None
        return Act("expire", (order, slot if slot and rng.random() < 0.9 else newest.slot))

    def _forget_ended(self) -> None:
        self.live = [one for one in self.live if self.state.orders[one] is not None]

    def _commitment(self, order: Order) -> Any:
        return self.state.orders[order]

    def _unknown_order(self) -> Order:
        return Order(self._account(), self._instrument(), WAD, 0, False, 0, self._next_salt())

    # -- cash and positions

    def _deposit(self) -> Act:
        rng = self.rng
        account = self._account()
        if rng.random() < 0.02:
            account = AccountId(bytes(20) + account[20:])
        amount = int(10 ** rng.uniform(1, 4.8)) * USD
        if rng.random() < 0.05:
            amount = rng.choice(AMOUNTS)
        return Act("deposit", (rng.choice(self.scene.actors), account, amount))

    def _withdraw(self) -> Act:
        account = self._account()
        caller = self._maybe_other(owner_of(account))
        return Act("withdraw", (caller, account, self._cash_amount(account), caller))

    def _move_cash(self) -> Act:
        source, target = self._buckets()
        caller = self._maybe_other(owner_of(source))
        return Act("move_cash", (caller, source, target, self._cash_amount(source)))

    def _cash_amount(self, account: AccountId) -> int:
        """Part of the cash, all of it, a unit more, or nonsense."""
        rng = self.rng
        cash = max(0, self.state.accounts[account].cash) // 10**12
        roll = rng.random()
        if self.state.accounts[account].collateral and rng.random() < 0.3:
            return cash + int(10 ** rng.uniform(0, 5) * USD)  # some of it borrowed
        if roll < 0.1:
            return cash
        if roll < 0.15:
            return cash + rng.choice((1, 1_000 * USD))
        if roll < 0.2:
            return rng.choice(AMOUNTS)
        return int(cash * rng.random() ** 2)

    def _move_position(self) -> Act:
        source, target = self._buckets()
        book = self.state.accounts[source].book
        instrument = self.rng.choice(book) if book else self._instrument()
        if self.rng.random() < 0.05:
            instrument = self._instrument()
        caller = self._maybe_other(owner_of(source))
        return Act("move_position", (caller, source, target, instrument))

    def _set_mode(self) -> Act:
        account = self._account()
        mode = self.rng.choice((1, 1, 2, 2, 2, 3, 3, 3, 0, 4, 2**255))
        return Act("set_mode", (self._maybe_other(owner_of(account)), account, mode))

    def _fund_insurance(self) -> Act:
        amount = self.rng.choice((0, 1, 50 * USD, 5_000 * USD, 2**100, 2**255))
        return Act("fund_insurance", (self.rng.choice(self.scene.actors), amount))

    def _donate(self) -> Act:
        return Act("donate", (self.rng.choice(self.scene.actors), self.rng.randint(0, 10**9)))

    def _accrue_debt(self) -> Act:
        return Act("accrue_debt", ())

    def _collect(self) -> Act:
        return Act("collect_protocol", (self.scene.keeper,))

    def _accrue(self) -> Act:
        some = [self._instrument() for _ in range(self.rng.randint(0, 4))]
        return Act("accrue", (tuple(some),))

    # -- liquidation

    def _call(self) -> Act:
        account = self._weak_account()
        sure = self.state.accounts[account].called or self._cushion(account) < WORRYING
        return Act("call", (account,)) if sure or self.rng.random() < 0.15 else self._commit()

    def _liquidate(self) -> Act:
        rng = self.rng
        account = self._weak_account()
        if self._cushion(account) > WORRYING and rng.random() < 0.9:
            return self._commit()
        book = self.state.accounts[account].book
        instrument = rng.choice(book) if book else self._instrument()
        if rng.random() < 0.03:
            instrument = self._instrument()
        held = abs(self.state.positions[account, instrument].size)
        most = 2**256 - 1
        if rng.random() < 0.2:
            most = rng.choice((0, 1, held // 3, held - 1 if held else 0, held, 2**255))
        caller = rng.choice(self.scene.actors)
        if rng.random() < 0.02:
            caller = owner_of(account)
        return Act("liquidate", (caller, account, instrument, most))

    def _liquidate_many(self) -> Act:
        targets = []
        for _ in range(self.rng.randint(1, 8)):
            account = self._weak_account()
            book = self.state.accounts[account].book
            targets.append((account, self.rng.choice(book) if book else self._instrument()))
        return Act("liquidate_many", (self.rng.choice(self.scene.actors), tuple(targets)))

    def _absorb(self) -> Act:
        bare = [
            account
            for account in self.scene.accounts
            if self.state.accounts[account].cash < 0 and not self.state.accounts[account].book
        ]
        return Act("absorb", (self.rng.choice(bare) if bare else self._account(),))

    def _set_top_up(self) -> Act:
        """Nearly always a rule that could be used."""
        rng = self.rng
        account = self._account()
        trigger = rng.choice((10**6, 1_500_000, 4_000_000, 9_000_000))
        target = trigger + rng.choice((1, 500_000, 1_000_000))
        most, budget = (int(10 ** rng.uniform(6, 11)) for _ in range(2))
        if rng.random() < 0.1:
            trigger, target = rng.choice(((999_999, 2_000_000), (2_000_000, 2_000_000)))
        if rng.random() < 0.1:
            most, budget = rng.choice(((0, 1), (1, 0), (2**64, 1), (1, 2**64), (2**255, 2**255)))
        interval = rng.choice((60, 60, 600, 59, 30 * 86_400 + 1))
        caller = self._maybe_other(owner_of(account))
        return Act("set_top_up", (caller, account, trigger, target, interval, most, budget))

    def _top_up(self) -> Act:
        ruled = [one for one, rule in self.state.top_ups.items() if rule.budget]
        if not ruled or self.rng.random() < 0.1:
            return Act("top_up", (self._account(),))
        return Act("top_up", (min(ruled, key=self._cushion),))

    def _mark_debt(self) -> Act:
        """One that owes, or that is marked."""
        state = self.state
        some = [one for one in self.scene.accounts if state.accounts[one].debt]
        some += [one for one in self.scene.accounts if state.debt_due[one]]
        return Act("mark_debt", (self.rng.choice(some) if some else self._account(),))

    def _repay(self) -> Act:
        rng = self.rng
        indebted = [one for one in self.scene.accounts if self.state.accounts[one].debt]
        account = rng.choice(indebted) if indebted else self._account()
        debt = -(-self.state.accounts[account].debt // 10**12)
        cash = rng.choice((debt, debt, debt // 2, debt // 10, debt + 1, 1, 0, 10 * USD))
        held = [one for one in (0, 1) if self.state.collateral[account, one]]
        place = rng.choice(held or [0, 1])
        if rng.random() < 0.04:
            place = UNKNOWN_TOKEN
        least = rng.choice((0, 0, 0, 1, 10**30))
        caller = rng.choice(self.scene.actors)
        return Act("repay_with_collateral", (caller, account, place, cash, least))

    def _weak_account(self) -> AccountId:
        """Mostly one that has positions and little cash; any now and then."""
        rng = self.rng
        held = [one for one in self.scene.accounts if self.state.accounts[one].book]
        if not held or rng.random() < 0.05:
            return self._account()
        if rng.random() < 0.3:
            return rng.choice(held)
        return min(held, key=self._cushion)

    def _cushion(self, account: AccountId) -> float:
        """Equity over notional, without funding: enough to find the weak."""
        state = self.state
        record = state.accounts[account]
        equity, notional = record.cash, 1
        for instrument in record.book:
            position = state.positions[account, instrument]
            worth = position.size * self._stored_wad(instrument) // WAD
            equity += worth - position.notional
            notional += abs(worth)
        for place, token in enumerate(state.tokens):
            amount = state.collateral[account, place]
            price = state.prices[token.feed]
            assert price is not None
            equity += amount * price.median * 10**10 * 9 // (10 * 10**token.decimals)
        return equity / notional

    # -- collateral

    def _deposit_collateral(self) -> Act:
        rng = self.rng
        place = rng.choice((0, 1))
        units = self.state.tokens[place].decimals
        amount = int(10 ** rng.uniform(-3, 1 if place == 0 else 0) * 10**units)
        if rng.random() < 0.05:
            amount = rng.choice((*AMOUNTS, 10 ** (units + 6)))
        account = self._account()
        if rng.random() < 0.03:
            account = AccountId(bytes(20) + account[20:])
        if rng.random() < 0.03:
            place = UNKNOWN_TOKEN
        return Act("deposit_collateral", (rng.choice(self.scene.actors), account, place, amount))

    def _withdraw_collateral(self) -> Act:
        account, place, amount = self._collateral_amount()
        caller = self._maybe_other(owner_of(account))
        return Act("withdraw_collateral", (caller, account, place, amount, caller))

    def _move_collateral(self) -> Act:
        account, place, amount = self._collateral_amount()
        _, target = self._buckets(account)
        caller = self._maybe_other(owner_of(account))
        return Act("move_collateral", (caller, account, target, place, amount))

    def _collateral_amount(self) -> tuple[AccountId, int, int]:
        rng = self.rng
        holding = [
            (account, place)
            for account in self.scene.accounts
            for place in (0, 1)
            if self.state.collateral[account, place]
        ]
        if not holding or rng.random() < 0.05:
            return self._account(), rng.choice((0, 1, UNKNOWN_TOKEN)), rng.choice((0, 1, 10**18))
        account, place = rng.choice(holding)
        held = self.state.collateral[account, place]
        return account, place, rng.choice((held, held, held // 2, held // 10 + 1, held + 1, 0))

    # -- pool

    def _request_deposit(self) -> Act:
        rng = self.rng
        who = self._provider()
        amount = int(10 ** rng.uniform(2, 5.5)) * USD
        if rng.random() < 0.06:
            amount = rng.choice((*AMOUNTS, 2**96 - 1, 2**96))
        least = 0
        if rng.random() < 0.3:
            worth = amount * 10**12 * (self.state.supply + VIRTUAL)
            fair = worth // (max(0, self.state.lines.nav) + VIRTUAL)
            least = min(rng.choice((fair * 99 // 100, fair, fair * 101 // 100, 2**96)), 2**256 - 1)
        controller, owner = self._maybe_provider(who), self._maybe_provider(who)
        return Act("request_deposit", (who, amount, controller, owner, least))

    def _request_redeem(self) -> Act:
        rng = self.rng
        who = self._provider()
        shares = self.state.shares[who]
        amount = rng.choice((shares, shares // 2, shares // 5, shares + 1, 1, 0, 2**96))
        least = 0
        if rng.random() < 0.3:
            worth = amount * (max(0, self.state.lines.nav) + VIRTUAL)
            fair = worth // (self.state.supply + VIRTUAL) // 10**12
            least = min(rng.choice((fair * 99 // 100, fair, fair * 101 // 100, 2**96)), 2**256 - 1)
        controller, owner = self._maybe_provider(who), self._maybe_provider(who)
        return Act("request_redeem", (who, amount, controller, owner, least))

    def _execute_requests(self) -> Act:
        if self.rng.random() < 0.9 and not self._due(Side.ENTRY) + self._due(Side.EXIT):
            return self.rng.choice((self._request_deposit, self._request_redeem, self._tick))()
        return Act("execute_requests", (self._asking(Side.ENTRY), self._asking(Side.EXIT)))

    def _lapse(self) -> Act:
        return Act("lapse_requests", (self._asking(Side.ENTRY), self._asking(Side.EXIT)))

    def _due(self, side: Side) -> int:
        """How many requests could be executed now, but for prices."""
        now, requests = self.state.now, self.state.requests
        return sum(
            requests[side, one].due <= now <= requests[side, one].deadline
            for one in self.scene.providers
        )

    def _mark(self) -> Act:
        marked = self.state.marked
        if marked and self.rng.random() < 0.3:
            return Act("mark", (self.rng.choice(marked),))
        return Act("mark", (self._weak_account(),))

    def _asking(self, side: Side) -> tuple[Address, ...]:
        rng = self.rng
        asking = [one for one in self.scene.providers if self.state.requests[side, one].amount]
        if rng.random() < 0.1:
            asking.append(self._provider())
        rng.shuffle(asking)
        return tuple(asking)

    def _claim(self) -> Act:
        rng = self.rng
        name = rng.choice(("claim_deposit", "claim_mint", "claim_redeem", "claim_withdraw"))
        side = Side.ENTRY if name in ("claim_deposit", "claim_mint") else Side.EXIT
        ready = [one for one in self.scene.providers if self.state.claims[side, one].amount]
        who = rng.choice(ready) if ready else self._provider()
        claim = self.state.claims[side, who]
        whole = claim.amount if name in ("claim_deposit", "claim_redeem") else claim.out
        amount = rng.choice((whole, whole, whole // 2, whole // 3 + 1, whole + 1, 0))
        return Act(name, (who, amount, self._provider(), self._maybe_provider(who)))

    def _claim_returned(self) -> Act:
        ready = [one for one in self.scene.providers if self.state.returned[one]]
        who = self.rng.choice(ready) if ready else self._provider()
        return Act("claim_returned", (who, self._provider(), self._maybe_provider(who)))

    def _operator(self) -> Act:
        approved = self.rng.random() < 0.5
        return Act("set_operator", (self._provider(), self._provider(), approved))

    def _transfer_shares(self) -> Act:
        who = self._provider()
        held = self.state.shares[who]
        amount = self.rng.choice((held // 10, held // 3, held, held + 1, 0))
        return Act("transfer_shares", (who, self._provider(), amount))

    def _set_status(self) -> Act:
        closed = [one for one in self.twin.instruments if 0 < self._status(one) < Status.DELISTING]
        if closed and self.rng.random() < 0.9:
            return Act("set_status", (self.rng.choice(closed), 0))
        return Act("set_status", (self._instrument(), self.rng.choice((0, 1, 2, 3))))

    def _halt(self) -> Act:
        rng = self.rng
        halted = [
            one
            for one in self.twin.instruments
            if self._status(one) == Status.HALTED and self.state.settlements[one].at
        ]
        some = tuple(rng.sample(self.twin.instruments, rng.randint(1, 2)))
        who = self.state.parameters.guardian
        if rng.random() < 0.04:
            who = rng.choice(self.scene.actors)
        if halted and rng.random() < 0.8:
            return Act("resume", (who, tuple(halted)))
        return Act("halt", (who, some))

    def _delist(self) -> Act:
        rng = self.rng
        alive = [one for one in self.twin.instruments if self._status(one) < Status.DELISTING]
        if len(alive) < 3 and rng.random() < 0.95:  # a walk with nothing to trade meets little
            return self._commit()
        notice = rng.choice((DAY - 1, DAY, DAY + 1, 2 * DAY, 90 * DAY + 1))
        return Act("delist", (self._instrument(), self.state.now + notice))

    def _settle_instrument(self) -> Act:
        """Of one whose moment is near or has come; that moment may be what time waits for."""
        rng = self.rng
        ending = [one for one in self.twin.instruments if self._status(one) == Status.DELISTING]
        if not ending or rng.random() < 0.03:
            return Act("settle_instrument", (self._instrument(), self.state.now))
        one = rng.choice(ending)
        at, now = self.state.settlements[one].at, self.state.now
        if at > now and rng.random() < 0.8:
            seconds = at - now + rng.choice((0, 0, 0, DAY))
            self.queue.extend(self._post(feed, seconds) for feed in self.prices)
            return Act("pass_time", (seconds,))
        feed = self.state.listed(one).underlying.feed
        slots = [slot for slot, previous in self.slots[feed] if previous < at <= slot]
        return Act("settle_instrument", (one, slots[-1] if slots else now - rng.randint(0, 9)))

    def _settle_positions(self) -> Act:
        rng = self.rng
        over = [one for one in self.twin.instruments if self._status(one) == Status.SETTLING]
        if not over:
            return self._commit() if rng.random() < 0.95 else self._settling(self._instrument())
        return self._settling(rng.choice(over))

    def _settling(self, one: InstrumentId) -> Act:
        rng = self.rng
        holders = [each for each in self.scene.accounts if self.state.positions[each, one].size]
        stopped = self.state.markets[one].stopped
        if stopped and rng.random() < 0.5:  # winners ask before those have paid who lost
            sign = 1 if stopped == SHORTS_LOST else -1
            holders = [each for each in holders if self.state.positions[each, one].size * sign > 0]
        some = rng.sample(holders, min(len(holders), rng.randint(1, 3)))
        if rng.random() < 0.2:
            some.append(self._account())
        return Act("settle_positions", (tuple(some), one))

    def _status(self, instrument: InstrumentId) -> int:
        terms = self.state.terms[instrument]
        return 0 if terms is None else terms.fill.status

    # -- who and what

    def _account(self) -> AccountId:
        return self.rng.choice(self.scene.accounts)

    def _buckets(self, source: AccountId | None = None) -> tuple[AccountId, AccountId]:
        """Two buckets, nearly always of one owner and different."""
        source = source or self._account()
        own = [one for one in self.scene.accounts if one[:20] == source[:20] and one != source]
        roll = self.rng.random()
        if roll < 0.03:
            return source, source
        if roll < 0.06:
            return source, self._account()
        return source, self.rng.choice(own)

    def _instrument(self) -> InstrumentId:
        return UNKNOWN if self.rng.random() < 0.01 else self.rng.choice(self.twin.instruments)

    def _provider(self) -> Address:
        return self.rng.choice(self.scene.providers)

    def _maybe_provider(self, who: Address) -> Address:
        return self._provider() if self.rng.random() < 0.08 else who

    def _maybe_other(self, owner: Address) -> Address:
        return self.rng.choice(self.scene.actors) if self.rng.random() < 0.02 else owner

    def _next_salt(self) -> int:
        self._salt += 1
        return self._salt

    def _price_wad(self, instrument: InstrumentId) -> int:
        terms = self.state.terms[instrument]
        if terms is None:
            return WAD
        return int(self.prices[terms.underlying.feed] * WAD)

    def _stored_wad(self, instrument: InstrumentId) -> int:
        terms = self.state.terms[instrument]
        assert terms is not None
        price = self.state.prices[terms.underlying.feed]
        assert price is not None
        return price.median * 10 ** (18 - FEED_DECIMALS)
