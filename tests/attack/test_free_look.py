"""An order is no option for nothing: whoever lets one end unfilled pays its lapse charge.

The attacker sees the price of his order's slot, waits within the window, fills the order when
the market has moved his way since, and otherwise looks for a way out that costs nothing.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.attack.gang import lines
from tests.support.refusals import refused
from tests.support.staffed import retune
from tests.support.world import BTC, WAD, Order, World


def committed(world: World, account: bytes, size: float, **fields: object) -> tuple[Order, int]:
    """An order of whose slot the price is known; (order, slot)."""
    order = world.order(account, BTC, size, **fields)
    world.commit(order)
    return order, world.due_slot(order)


def lapse_of(world: World, order: Order) -> int:
    return int(world.orders.commitment(world.orders.order_id(order.as_argument())).lapse)


def let_it_lapse(world: World, order: Order, slot: int) -> None:
    """Nobody executes it; at the end of its window somebody ends it."""
    world.wait(world.terms.orders.window_seconds + 1)
    world.orders.expire(order.as_argument(), slot, sender=world.keeper)


def in_two_buckets(world: World) -> tuple[bytes, bytes]:
    """Two buckets of one wallet with margin for a bitcoin each; the first holds one, long."""
    first, second = (world.account("trader", bucket) for bucket in (0, 1))
    for account in (first, second):
        world.deposit(account, 10_000)
    world.open_position(first, BTC, 1)
    return first, second


def withdraw_what_goes(world: World, account: bytes) -> None:
    """All cash that is not reserved, of an account without position."""
    words = world.assess(account)
    owner = world.owner(account)
    world.clearinghouse.withdraw(
        account, (words.cash - words.reserved) // 10**12, owner, sender=owner
    )


def test_x01_a_reduction_of_an_account_without_cash_pays_its_lapse(world: World) -> None:
    trader = world.account("trader")
    world.add_collateral(trader, world.weth, 20)
    world.open_position(trader, BTC, 0.1)
    assert world.cash(trader) < 0
    order, slot = committed(world, trader, -0.1, reduce_only=True)
    lapse, equity = lapse_of(world, order), world.assess(trader).equity
    insurance = lines(world).insurance

    let_it_lapse(world, order, slot)

    world.markets.accrue([BTC], sender=world.keeper)
    assert world.assess(trader).equity <= equity - lapse
    assert lines(world).insurance >= insurance + lapse


def test_x01_moving_the_position_away_is_no_way_out(world: World) -> None:
    first, second = in_two_buckets(world)
    order, slot = committed(world, first, -1, reduce_only=True)
    lapse, cash = lapse_of(world, order), world.cash(first)

    world.clearinghouse.move_position(first, second, BTC, sender=world.owner(first))
    assert world.execute(order, slot) == 4

    assert world.cash(first) <= cash - lapse


def test_x01_of_several_reductions_only_the_best_is_free(world: World) -> None:
    """One at every second, the best is executed; the rest find nothing to reduce."""
    first, _ = in_two_buckets(world)
    orders = [world.order(first, BTC, -1, reduce_only=True) for _ in range(3)]
    slots: list[int] = []
    for order in orders:
        world.commit(order)
    for order, price in zip(orders, (50_000, 50_100, 49_900), strict=True):
        slots.append(world.due_slot(order, price) if not slots else slots[0])
    lapse = lapse_of(world, orders[0])

    assert world.execute(orders[1], slots[1]) == 0
    owner, all_of_it = world.owner(first), world.cash(first) // 10**12
    with refused("account: below initial margin"):
        world.clearinghouse.withdraw(first, all_of_it, owner, sender=owner)
    withdraw_what_goes(world, first)
    cash = world.cash(first)
    assert [world.execute(orders[i], slots[i]) for i in (0, 2)] == [4, 4]
    assert world.cash(first) == cash - 2 * lapse


def test_x01_a_reduction_that_became_an_opening_pays_its_lapse(world: World) -> None:
    """Not reduce-only, it would open when the position is gone: N times the size for nothing."""
    first, second = in_two_buckets(world)
    orders = [world.order(first, BTC, -1) for _ in range(5)]
    for order in orders:
        world.commit(order)
    slot = world.due_slot(orders[0])
    lapse = lapse_of(world, orders[0])
    world.clearinghouse.move_position(first, second, BTC, sender=world.owner(first))
    withdraw_what_goes(world, first)
    assert world.cash(first) >= 5 * lapse

    world.wait(world.terms.orders.window_seconds + 1)
    before = world.cash(first)
    for order in orders:
        world.orders.expire(order.as_argument(), slot, sender=world.keeper)
    assert world.cash(first) == before - 5 * lapse


def test_x01_reductions_reserve_no_more_than_there_is(world: World) -> None:
    """Lapse charges of reductions cannot be piled up into a deficit."""
    first, _ = in_two_buckets(world)
    equity = world.assess(first).equity
    for size in (-1_000_000, -20):
        order = world.order(first, BTC, size, reduce_only=True)
        for _ in range(int(equity // (25 * 10**18 * -size))):
            world.commit(replace(order, salt=world.order(first, BTC, 1).salt))
        with refused("account: not enough margin"):
            world.commit(order)
    assert equity - 500 * 10**18 < world.assess(first).reserved <= equity


def test_x01_a_rest_below_the_minimum_is_no_way_out(world: World) -> None:
    """A position moved in leaves a buy a rest below the minimum: it closes, it does not die."""
    first, second = (world.account("trader", bucket) for bucket in (0, 1))
    for account in (first, second):
        world.deposit(account, 20_000)
    world.open_position(second, BTC, -0.999)
    order, slot = committed(world, first, 1)
    world.clearinghouse.move_position(second, first, BTC, sender=world.owner(first))

    assert world.execute(order, slot) == 0
    assert world.size(first, BTC) == 0


def test_x01_an_order_is_taken_back_before_it_is_due_or_not_at_all(world: World) -> None:
    first, _ = in_two_buckets(world)
    order = world.order(first, BTC, 0.01)
    world.commit(order)
    slot = world.due_slot(order)
    with refused("orders: due already"):
        world.orders.cancel(order.as_argument(), sender=world.owner(first))
    lapse, cash = lapse_of(world, order), world.cash(first)
    let_it_lapse(world, order, slot)
    assert world.cash(first) == cash - lapse


@pytest.mark.parametrize(
    ("limit", "figure"),
    [("oi_cap_wad", 100 * WAD), ("oi_cap_usd", 5_000_000), ("premium_max_ppm", 1_000)],
)
def test_x01_a_limit_that_the_owner_fills_is_no_way_out(
    world: World, limit: str, figure: int
) -> None:
    """99.9 % of what a limit leaves, and beside it a small order that takes the rest.

    When the price of both is known to be bad for the large one, the small one is executed
    first: for some cents the large one would have been an option on five million.
    """
    retune(world, BTC, **{limit: figure})
    large, small = (world.account(name) for name in ("large", "small"))
    world.deposit(large, 1_000_000)
    world.deposit(small, 5_000)
    room = 100 if limit != "premium_max_ppm" else Decimal("102.4")
    order = world.order(large, BTC, room)
    nudge = world.order(small, BTC, "0.01")
    world.commit(order)
    world.commit(nudge)
    slot, lapse = world.due_slot(order), lapse_of(world, order)
    assert lapse >= order.size * 50_000 * 500 // 10**6
    cash, insurance = world.cash(large), lines(world).insurance

    assert world.execute(nudge, slot) == 0
    assert world.execute(order, slot) == 3

    assert world.cash(large) == cash - lapse
    assert lines(world).insurance >= insurance + lapse


def test_x01_a_limit_of_the_pool_that_the_owner_reaches_is_no_way_out(world: World) -> None:
    """Closing a little of the other side raises what the pool carries, and nothing refuses it."""
    large, small = (world.account(name) for name in ("large", "small"))
    world.deposit(large, 10_000_000)
    world.deposit(small, 100_000)
    world.open_position(small, BTC, -10)
    asked = 2 * Decimal("0.052") * 50_000  # of NAV, for a bitcoin of |Q|
    nav = Decimal(lines(world).nav) / WAD
    retune(world, BTC, premium_max_ppm=10_000, liquidity_usd=10**9)
    world.markets.set_safety(10**7, 0, 28_800, sender=world.governor)
    most = nav / (asked * 5) + 10  # ten times the requirement, instead of twice
    order = world.order(large, BTC, most.quantize(Decimal("0.001")))
    close = world.order(small, BTC, 1, reduce_only=True)
    world.commit(order)
    world.commit(close)
    slot, lapse = world.due_slot(order), lapse_of(world, order)
    with world.evm.trial():
        assert world.execute(order, slot) == 0
    cash = world.cash(large)

    assert world.execute(close, slot) == 0
    assert world.execute(order, slot) == 3

    assert world.cash(large) == cash - lapse


def test_x01_an_order_at_the_minimum_is_no_way_out(world: World) -> None:
    """Worth the minimum at the commit, and less when its price has fallen: it is charged."""
    trader = world.account("trader")
    world.deposit(trader, 1_000)
    order = world.order(trader, BTC, "0.002")
    world.commit(order)
    slot, lapse, cash = world.due_slot(order, 49_000), lapse_of(world, order), world.cash(trader)
    assert world.execute(order, slot) == 3
    assert world.cash(trader) == cash - lapse


# -- orders that wait


def triggered(world: World, *sizes: tuple[bytes, float]) -> list[Order]:
    """Limits that the market meets already, triggered in one block by one slot."""
    price = int(world.price(BTC) * 10**18)
    orders = [
        world.order(account, BTC, size, kind=1, trigger=price * 2 if size > 0 else 1)
        for account, size in sizes
    ]
    for order in orders:
        world.commit(order)
    slot = world.repost()
    for order in orders:
        world.orders.trigger(order.as_argument(), slot, sender=world.keeper)
    return orders


def test_x02_a_gap_through_a_trigger_fills_at_the_price_after_it(world: World) -> None:
    """A stop at 48,000 and a fall to 40,000: it sells at what the market then is, no better."""
    trader = world.account("trader")
    world.deposit(trader, 20_000)
    world.open_position(trader, BTC, 1)
    stop = world.order(trader, BTC, -1, kind=2, trigger=48_000 * WAD, reduce_only=True)
    world.commit(stop)
    world.trigger(stop, 40_000)
    assert world.execute(stop, world.due_slot(stop, 39_000)) == 0
    (change,) = world.evm.events("PositionChanged")
    assert -change.args.fill_notional < 39_001 * WAD  # a closing trade earns the premium


def test_x02_an_old_slot_triggers_but_never_prices(world: World) -> None:
    """Within the 30 seconds the market has risen again: a limit to buy at 45,000 that is
    triggered by the low of before is filled at 50,000, which a market order would be too."""
    friend, trader = (world.account(name) for name in ("friend", "trader"))
    for account in (friend, trader):
        world.deposit(account, 20_000)
    order = world.order(trader, BTC, 1, kind=1, trigger=45_000 * WAD)
    world.commit(order)
    low = world.post({BTC: 44_000})
    world.wait(29)
    world.post({BTC: 50_000})
    market = world.order(friend, BTC, 1)
    world.commit(market)
    world.orders.trigger(order.as_argument(), low, sender=world.owner(trader))
    slot = world.due_slot(market, 50_000)
    paid = []
    for one in (market, order):
        with world.evm.trial():
            assert world.execute(one, slot) == 0
            (change,) = world.evm.events("PositionChanged")
            paid.append(change.args.fill_notional)
    assert paid[0] == paid[1]


def test_x01_whoever_triggers_chooses_no_price(world: World) -> None:
    """Of two slots that meet a limit a keeper or a reporter may name either: due is the same."""
    trader = world.account("trader")
    world.deposit(trader, 20_000)
    order = world.order(trader, BTC, 1, kind=1, trigger=48_000 * WAD)
    world.commit(order)
    slots = [world.post({BTC: price}) for price in (47_000, 44_000)]
    outcomes = []
    for slot in slots:
        with world.evm.trial():
            world.orders.trigger(order.as_argument(), slot, sender=world.keeper)
            filling = world.due_slot(order, 46_000)
            assert world.execute(order, filling) == 0
            (change,) = world.evm.events("PositionChanged")
            outcomes.append((filling, change.args.fill_notional))
    assert outcomes[0] == outcomes[1]


def test_x01_a_triggered_order_is_no_option(world: World) -> None:
    """From its due time it is bound like any other: no cancelling, and its charge if it lapses."""
    trader = world.account("trader")
    world.deposit(trader, 20_000)
    (order,) = triggered(world, (trader, 1))
    slot = world.due_slot(order, 49_000)
    with refused("orders: due already"):
        world.orders.cancel(order.as_argument(), sender=world.owner(trader))
    lapse, cash = lapse_of(world, order), world.cash(trader)
    assert lapse >= 25 * WAD
    let_it_lapse(world, order, slot)
    assert world.cash(trader) == cash - lapse


@pytest.mark.parametrize("move", [-2_000, -200, 200, 2_000])
def test_x01_limits_on_both_sides_of_the_market_are_no_straddle(world: World, move: int) -> None:
    """A buy and a sell, triggered in one block; when their price is known only the winner is
    executed and the loser is let lapse: what that costs is what a straddle of two seconds is
    worth at the charge's volatility, and it is paid whichever way the price goes."""
    long, short = (world.account(name) for name in ("long", "short"))
    for account in (long, short):
        world.deposit(account, 20_000)
    buy, sell = triggered(world, (long, 1), (short, -1))
    winner, loser = (buy, sell) if move > 0 else (sell, buy)
    slot = world.due_slot(winner, 50_000 + move)
    charge, before = lapse_of(world, loser), world.cash(loser.account)
    assert world.execute(winner, slot) == 0
    let_it_lapse(world, loser, slot)
    assert world.cash(loser.account) == before - charge
    # the winner was filled at the price that he knows, not at the one before it
    size = world.size(winner.account, BTC)
    value = size * int(world.price(BTC) * 10**18) // WAD
    notional = world.clearinghouse.position(winner.account, BTC)[1]
    assert value - notional <= 0


def test_x01_waiting_orders_hold_nothing_and_give_nothing(world: World) -> None:
    """A thousand triggers a bribed keeper may pull or not are each a commitment with its charge."""
    trader = world.account("trader")
    world.deposit(trader, 4_300)
    orders = [world.order(trader, BTC, 1, kind=1, trigger=60_000 * WAD) for _ in range(3)]
    for order in orders:
        world.commit(order)
    slot = world.repost()
    world.orders.trigger(orders[0].as_argument(), slot, sender=world.keeper)
    assert world.assess(trader).reserved > 4_200 * WAD
    for order in orders[1:]:  # the same money backs no second look
        with refused("account: not enough margin"):
            world.orders.trigger(order.as_argument(), slot, sender=world.keeper)
