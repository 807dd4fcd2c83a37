"""Orders that wait: limits, stops, take-profits, brackets; what triggers them; SPEC 6.7, 6.8."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.refusals import refused
from tests.support.world import BTC, ETH, WAD, Number, Order, World

DELAY, WINDOW = 2, 120
MARKET, LIMIT, STOP, TAKE_PROFIT = range(4)
FILLED, EXPIRED, CANCELLED = 0, 5, 6
PPM = 10**6
CONFIDENCE = 200  # ppm, of every slot that the helpers post


@pytest.fixture
def trader(world: World) -> bytes:
    account = world.account("trader")
    world.deposit(account, 20_000)
    return account


def waiting(
    world: World, account: bytes, size: Number, kind: int, price: int, **fields: Any
) -> Order:
    """An order that was placed and waits for a price in USD."""
    order = world.order(account, BTC, size, kind=kind, trigger=price * WAD, **fields)
    world.commit(order)
    return order


def live(world: World, order: Order) -> Any:
    return world.orders.commitment(world.orders.order_id(order.as_argument()))


def finish(world: World, order: Order, price: Number) -> int:
    """Fill a triggered order at its slot."""
    return world.execute(order, world.due_slot(order, price))


# -- placing


def test_place__holds_nothing_and_tells_the_whole_order(world: World, trader: bytes) -> None:
    cash = world.cash(trader)
    order = world.order(
        trader, BTC, -3, kind=STOP, trigger=45_000 * WAD, expiry=2**33, acceptable=44_000 * WAD
    )
    id_ = world.commit(order)
    (event,) = world.evm.events("OrderPlaced")
    assert tuple(event.args) == (id_, *order.as_argument())
    assert tuple(live(world, order)) == (0, 0, 0, False, 0, 0, world.evm.timestamp)
    assert (world.cash(trader), world.assess(trader).reserved) == (cash, 0)


def test_place__puts_the_fee_of_trigger_and_execution_aside(world: World, trader: bytes) -> None:
    cash = world.cash(trader)
    order = waiting(world, trader, 1, LIMIT, 45_000, execution_fee=3 * WAD)
    assert world.cash(trader) == cash - 6 * WAD
    with world.evm.trial():
        world.orders.cancel(order.as_argument(), sender=world.owner(trader))
        assert world.cash(trader) == cash
    world.trigger(order, 44_000)
    assert world.cash(world.account(world.keeper)) == 3 * WAD
    assert finish(world, order, 44_100) == FILLED
    assert world.cash(world.account(world.keeper)) == 6 * WAD


def test_place__a_fee_leaves_on_the_terms_of_a_withdrawal(world: World, trader: bytes) -> None:
    world.open_position(trader, BTC, 4)
    order = world.order(
        trader,
        BTC,
        -4,
        kind=STOP,
        trigger=45_000 * WAD,
        reduce_only=True,
        execution_fee=2_000 * WAD,
    )
    with refused("account: not enough margin"):
        world.commit(order)
    preview = world.lens.preview_order(order.as_argument())
    assert preview.refusal == "account: not enough margin"
    assert preview.missing > 0
    world.commit(replace(order, execution_fee=0))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": 4}, "orders: figure out of range"),
        ({"trigger": 2**128}, "orders: figure out of range"),
        ({"size": 0}, "orders: figure out of range"),
        ({"trigger": 0}, "orders: not of its kind"),
        ({"kind": MARKET}, "orders: not of its kind"),
        ({"kind": MARKET, "trigger": 0, "expiry": 2**33}, "orders: not of its kind"),
        ({"kind": TAKE_PROFIT}, "orders: not of its kind"),
        ({"kind": MARKET, "trigger": 0, "reduce_only": True, "bracket": 1},
         "orders: not of its kind"),
        ({"expiry": 1}, "orders: expired"),
        ({"instrument": 9}, "instruments: unknown instrument"),
    ],
)  # fmt: skip
def test_place__refuses_what_makes_no_sense(
    world: World, trader: bytes, fields: dict[str, Any], reason: str
) -> None:
    order = world.order(trader, BTC, 1, kind=LIMIT, trigger=45_000 * WAD)
    with refused(reason):
        world.commit(replace(order, **fields))
    assert world.lens.preview_order(replace(order, **fields).as_argument()).refusal == reason


# -- what meets a trigger


@pytest.mark.parametrize(
    ("kind", "size", "up"),
    [
        (LIMIT, 1, False),
        (LIMIT, -1, True),
        (STOP, 1, True),
        (STOP, -1, False),
        (TAKE_PROFIT, 1, False),
        (TAKE_PROFIT, -1, True),
    ],
)
def test_trigger__by_a_price_that_reaches_it_by_its_confidence(
    world: World, trader: bytes, kind: int, size: int, up: bool
) -> None:
    world.open_position(trader, BTC, "-0.5" if size > 0 else "0.5")
    trigger = 48_000 * WAD
    order = world.order(
        trader, BTC, size * 0.5, kind=kind, trigger=trigger, reduce_only=kind == TAKE_PROFIT
    )
    world.commit(order)
    # mantissas of 8 decimals: the last that does not meet it, and the first that does
    unit = 10**10
    if up:
        met = -(-trigger * PPM // ((PPM - CONFIDENCE) * unit))
        missed = met - 1
    else:
        met = trigger * PPM // ((PPM + CONFIDENCE) * unit)
        missed = met + 1
    for mantissa in (missed, met):
        world.evm.warp(1)
        slot = world.evm.timestamp
        reporters = world.reporters
        reporters.post(BTC, slot, slot - 1, [mantissa] * 3, CONFIDENCE, sender=world.keeper)
        if mantissa == missed:
            with refused("orders: trigger not met"):
                world.orders.trigger(order.as_argument(), slot, sender=world.keeper)
        else:
            world.orders.trigger(order.as_argument(), slot, sender=world.keeper)
    found = live(world, order)
    assert (found.due, found.placed) == (world.evm.timestamp + DELAY, 0)


def test_trigger__makes_a_commitment_of_its_own_block(world: World, trader: bytes) -> None:
    order = waiting(world, trader, 1, LIMIT, 49_000)
    world.wait(5_000)
    slot = world.trigger(order, 48_000, world.wallet("anyone"))
    found = live(world, order)
    due = world.evm.timestamp + DELAY
    assert (found.due, found.deadline, found.feed, found.opening) == (due, due + WINDOW, BTC, True)
    assert found.reserved == world.assess(trader).reserved > found.lapse == 24 * WAD
    (event,) = world.evm.events("OrderTriggered")
    assert tuple(event.args) == (
        world.orders.order_id(order.as_argument()), trader, slot, BTC, due, due + WINDOW, True,
        found.reserved, found.lapse, world.wallet("anyone"),
    )  # fmt: skip
    with refused("orders: triggered already"):
        world.orders.trigger(order.as_argument(), slot, sender=world.keeper)
    assert finish(world, order, 48_500) == FILLED


def test_trigger__by_a_slot_after_the_order_and_no_older_than_thirty_seconds(
    world: World, trader: bytes
) -> None:
    before = world.post({BTC: 44_000})
    order = waiting(world, trader, 1, LIMIT, 45_000)
    with refused("orders: slot before the order"):
        world.orders.trigger(order.as_argument(), before, sender=world.keeper)
    slot = world.post({BTC: 44_000})
    world.evm.warp(30)
    with world.evm.trial():
        world.orders.trigger(order.as_argument(), slot, sender=world.keeper)
    world.evm.warp(1)
    with refused("orders: slot too old"):
        world.orders.trigger(order.as_argument(), slot, sender=world.keeper)
    with refused("oracle: slot not in ring"):
        world.orders.trigger(order.as_argument(), slot + 5, sender=world.keeper)
    assert live(world, order).placed


def test_trigger__needs_the_margin_that_a_commitment_does(world: World, trader: bytes) -> None:
    order = waiting(world, trader, 10, LIMIT, 45_000)
    exit_ = waiting(world, trader, -1, STOP, 45_000, reduce_only=True)
    slot = world.post({BTC: 44_000})
    with refused("account: not enough margin"):
        world.orders.trigger(order.as_argument(), slot, sender=world.keeper)
    with refused("order: nothing to reduce"):
        world.orders.trigger(exit_.as_argument(), slot, sender=world.keeper)
    assert live(world, order).placed
    world.deposit(trader, 100_000)
    world.orders.trigger(order.as_argument(), slot, sender=world.keeper)


def test_trigger__a_reduction_needs_no_initial_margin(world: World) -> None:
    """The owner's automation against liquidation works where it is needed, fee included."""
    trader = world.account("trader")
    world.deposit(trader, 4_400)
    world.open_position(trader, BTC, 1)
    stop = waiting(world, trader, -1, STOP, 49_500, reduce_only=True, execution_fee=2 * WAD)
    world.trigger(stop, 49_000)
    found = world.assess(trader)
    assert found.maintenance < found.equity < found.initial
    assert finish(world, stop, 48_900) == FILLED
    assert world.size(trader, BTC) == 0
    assert world.cash(world.account(world.keeper)) == 4 * WAD


def test_execute__not_before_its_trigger(world: World, trader: bytes) -> None:
    order = waiting(world, trader, 1, LIMIT, 45_000)
    slot = world.repost()
    with refused("orders: not triggered"):
        world.execute(order, slot)
    assert world.orders.executable(order.as_argument(), slot) is False
    statuses = world.orders.execute_many([order.as_argument()], [slot], sender=world.keeper)
    assert tuple(statuses) == (255,)


def test_execute__a_triggered_order_ends_like_any_other(world: World, trader: bytes) -> None:
    """Its acceptable price is honoured, at its charge, and its reserve was made at the trigger."""
    order = waiting(world, trader, 1, LIMIT, 49_000, acceptable=49_010 * WAD)
    world.trigger(order, 48_000)
    lapse, cash = live(world, order).lapse, world.cash(trader)
    assert finish(world, order, 49_100) == 1
    assert world.cash(trader) == cash - lapse
    assert world.assess(trader).reserved == 0


# -- how it ends without a trigger


def test_cancel__free_while_it_waits_and_until_it_is_due(world: World, trader: bytes) -> None:
    owner, cash = world.owner(trader), world.cash(trader)
    order = waiting(world, trader, 1, LIMIT, 49_000, execution_fee=WAD)
    with refused("account: not the owner"):
        world.orders.cancel(order.as_argument(), sender=world.keeper)
    with world.evm.trial():
        world.wait(10_000)
        world.orders.cancel(order.as_argument(), sender=owner)
        (event,) = world.evm.events("OrderEnded")
        assert tuple(event.args)[2:] == (CANCELLED, 0, 0, owner)
        assert world.cash(trader) == cash
    world.trigger(order, 48_000)
    with world.evm.trial():
        world.evm.warp(DELAY - 1)
        world.orders.cancel(order.as_argument(), sender=owner)
        assert world.cash(trader) == cash - WAD  # the trigger was paid
    world.evm.warp(DELAY)
    with refused("orders: due already"):
        world.orders.cancel(order.as_argument(), sender=owner)


def test_expire__after_its_expiry_by_anyone(world: World, trader: bytes) -> None:
    cash = world.cash(trader)
    expiry = world.evm.timestamp + 100
    order = waiting(world, trader, 1, LIMIT, 49_000, execution_fee=WAD, expiry=expiry)
    world.evm.warp(expiry - world.evm.timestamp)
    slot = world.evm.timestamp
    world.post_price(BTC, 48_000, slot)
    with world.evm.trial():
        world.orders.trigger(order.as_argument(), slot, sender=world.keeper)
    with refused("orders: still waits"):
        world.orders.expire(order.as_argument(), 0, sender=world.keeper)
    world.evm.warp(1)
    with refused("orders: expired"):
        world.orders.trigger(order.as_argument(), slot, sender=world.keeper)
    world.orders.expire(order.as_argument(), 0, sender=world.keeper)
    (event,) = world.evm.events("OrderEnded")
    assert tuple(event.args)[2:] == (EXPIRED, 0, 0, world.keeper)
    assert world.cash(trader) == cash


# -- brackets


def bracket(world: World, account: bytes, entry_kind: int = MARKET) -> tuple[Order, Order, Order]:
    """(entry, stop, profit): long 1 BTC, out at 47,000 or 53,000."""
    entry = world.order(account, BTC, 1, bracket=7)
    if entry_kind != MARKET:
        entry = replace(entry, kind=entry_kind, trigger=49_500 * WAD)
    stop = world.order(
        account, BTC, -1, kind=STOP, trigger=47_000 * WAD, reduce_only=True, bracket=7
    )
    profit = replace(stop, kind=TAKE_PROFIT, trigger=53_000 * WAD, salt=stop.salt + 2**20)
    world.orders.commit_many(
        [one.as_argument() for one in (entry, stop, profit)], sender=world.owner(account)
    )
    return entry, stop, profit


@pytest.mark.parametrize(("first", "price"), [(0, 46_900), (1, 53_100)])
def test_bracket__an_exit_ends_the_other(
    world: World, trader: bytes, first: int, price: int
) -> None:
    entry, *exits = bracket(world, trader)
    assert finish(world, entry, 50_000) == FILLED
    assert world.orders.bracket_stage(trader, 7) == 1
    for one in exits:
        with refused("orders: still waits"):
            world.orders.expire(one.as_argument(), 0, sender=world.keeper)
    world.trigger(exits[first], price)
    assert world.orders.bracket_stage(trader, 7) == 2
    other = exits[1 - first]
    slot = world.post({BTC: 46_900 if first else 53_100})
    with refused("orders: bracket is used"):
        world.orders.trigger(other.as_argument(), slot, sender=world.keeper)
    world.orders.expire(other.as_argument(), 0, sender=world.keeper)
    assert not live(world, other).placed
    assert finish(world, exits[first], price) == FILLED
    assert world.size(trader, BTC) == 0


def test_bracket__exits_wait_for_the_entry(world: World, trader: bytes) -> None:
    """Also when there is a position that they could reduce."""
    world.open_position(trader, BTC, "0.5")
    entry, stop, _ = bracket(world, trader, LIMIT)
    slot = world.post({BTC: 46_000})
    with refused("orders: entry not filled"):
        world.orders.trigger(stop.as_argument(), slot, sender=world.keeper)
    world.orders.trigger(entry.as_argument(), slot, sender=world.keeper)
    with refused("orders: entry not filled"):
        world.orders.trigger(stop.as_argument(), slot, sender=world.keeper)
    assert finish(world, entry, 46_500) == FILLED
    world.trigger(stop, 46_400)


def test_bracket__an_entry_that_ends_unfilled_arms_nothing(world: World, trader: bytes) -> None:
    entry, stop, _ = bracket(world, trader)
    world.orders.cancel(entry.as_argument(), sender=world.owner(trader))
    slot = world.post({BTC: 46_000})
    with refused("orders: entry not filled"):
        world.orders.trigger(stop.as_argument(), slot, sender=world.keeper)


def test_bracket__a_number_serves_one_entry(world: World, trader: bytes) -> None:
    entry, stop, _ = bracket(world, trader)
    second = replace(entry, kind=LIMIT, trigger=49_000 * WAD, salt=99)
    world.commit(second)
    assert finish(world, entry, 50_000) == FILLED
    slot = world.post({BTC: 46_900})
    with refused("orders: bracket is used"):
        world.orders.trigger(second.as_argument(), slot, sender=world.keeper)
    with refused("orders: bracket is used"):
        world.commit(replace(entry, salt=100))
    world.orders.expire(second.as_argument(), 0, sender=world.keeper)
    late = replace(stop, salt=101)
    world.commit(late)  # an exit may come after the entry
    world.orders.trigger(stop.as_argument(), slot, sender=world.keeper)
    with refused("orders: bracket is used"):
        world.commit(replace(stop, salt=102))


def test_bracket__a_second_entry_that_was_committed_in_time_arms_nothing_again(
    world: World, trader: bytes
) -> None:
    entry = world.order(trader, BTC, "0.1", bracket=7)
    other = replace(entry, salt=500)
    stop = replace(entry, size=-entry.size, kind=STOP, trigger=49_000 * WAD, reduce_only=True)
    world.orders.commit_many(
        [one.as_argument() for one in (entry, other, stop)], sender=world.owner(trader)
    )
    slot = world.due_slot(entry)
    assert world.execute(entry, slot) == FILLED
    world.trigger(stop, 48_000)
    assert world.execute(other, slot) == FILLED
    assert world.orders.bracket_stage(trader, 7) == 2


def test_bracket__numbers_are_an_accounts_own(world: World, trader: bytes) -> None:
    entry, _, _ = bracket(world, trader)
    assert finish(world, entry, 50_000) == FILLED
    assert world.orders.bracket_stage(world.account("trader", 1), 7) == 0
    assert world.orders.bracket_stage(world.account("other"), 7) == 0


def test_commit_many__all_or_none(world: World, trader: bytes) -> None:
    good, bad = world.order(trader, BTC, "0.1"), world.order(trader, ETH, 4_000)
    owner = world.owner(trader)
    with refused("account: not enough margin"):
        world.orders.commit_many([good.as_argument(), bad.as_argument()], sender=owner)
    assert not live(world, good).due
    ids = world.orders.commit_many([good.as_argument()], sender=owner)
    assert tuple(ids) == (world.orders.order_id(good.as_argument()),)


# -- the lens warns


@pytest.mark.parametrize("size", [1, -1])
def test_preview__warns_of_a_stop_behind_the_liquidation(world: World, size: int) -> None:
    trader = world.account("trader")
    world.deposit(trader, 6_000)
    world.open_position(trader, BTC, size)
    below, above = world.lens.liquidation_price(trader, BTC)
    line = below if size > 0 else above
    assert line
    for trigger, late in ((line, True), (line + size, False), (line - size, True)):
        order = world.order(trader, BTC, -size, kind=STOP, trigger=trigger, reduce_only=True)
        preview = world.lens.preview_order(order.as_argument())
        assert (preview.refusal, preview.late) == ("", late)
    entry = world.order(trader, BTC, size, kind=STOP, trigger=line)
    assert world.lens.preview_order(entry.as_argument()).late is False
    other = replace(entry, account=world.account("other"), size=-size * WAD, reduce_only=True)
    assert world.lens.preview_order(other.as_argument()).late is False
