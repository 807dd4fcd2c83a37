"""What an order may be filled at, by whom, and what nobody can make of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.attack.gang import close, gang, lines, worth
from tests.support.refusals import refused
from tests.support.staffed import retune
from tests.support.world import BTC, ETH, SOL, WAD, Order, World

FILLED, PRICE = 0, 1
LIMIT, STOP, TAKE_PROFIT = 1, 2, 3
PPM = 10**6


def filled(world: World) -> int:
    """WAD cost of the one fill of the last transaction."""
    (change,) = world.evm.events("PositionChanged")
    return int(change.args.fill_notional)


# --


@pytest.mark.parametrize(
    ("kind", "opening"),
    [
        (0, True),
        (LIMIT, True),
        (STOP, True),
        (0, False),
        (LIMIT, False),
        (STOP, False),
        (TAKE_PROFIT, False),
    ],
)
def test_x03_the_acceptable_price_is_honoured_on_every_path(
    world: World, kind: int, opening: bool
) -> None:
    """Opening and reducing, at once or after a trigger: a unit too much ends it."""
    trader = world.account("trader")
    world.deposit(trader, 20_000)
    if not opening:
        world.open_position(trader, BTC, -1)
    trigger = {0: 0, LIMIT: 60_000, STOP: 40_000, TAKE_PROFIT: 60_000}[kind] * WAD

    def ends(acceptable: int) -> tuple[int, int]:
        """(status, cost) of an order to buy one."""
        order = world.order(
            trader, BTC, 1, kind=kind, trigger=trigger, acceptable=acceptable,
            reduce_only=not opening,
        )  # fmt: skip
        with world.evm.trial():
            world.commit(order)
            if kind:
                world.trigger(order)
            status = world.execute(order, world.due_slot(order, 50_100))
            return status, filled(world) if status == FILLED else 0

    status, cost = ends(0)
    assert status == FILLED
    assert ends(cost) == (FILLED, cost)
    assert ends(cost - 1) == (PRICE, 0)


# --


@pytest.mark.parametrize("parts", [2, 7, 50])
@pytest.mark.parametrize("size", [100, -100])
def test_x04_a_split_order_costs_what_the_whole_does(world: World, parts: int, size: int) -> None:
    """Never less, and two units more a part at most."""
    accounts = gang(world, "trader", 2, 2_000_000)
    world.open_position(accounts[1], BTC, 20)

    def cost(sizes: list[Decimal]) -> int:
        orders = [world.order(accounts[0], BTC, each) for each in sizes]
        with world.evm.trial():
            for order in orders:
                world.commit(order)
            slot, total = world.due_slot(orders[-1]), 0
            for order in orders:
                assert world.execute(order, slot) == FILLED
                total += filled(world)
            return total

    part = (Decimal(size) / parts).quantize(Decimal("0.001"))
    sizes = [part] * (parts - 1)
    whole = cost([Decimal(size)])
    split = cost([*sizes, Decimal(size) - sum(sizes)])
    assert 0 <= split - whole <= 2 * parts


@pytest.mark.parametrize("sizes", [(150, -150), (-150, 150), (50, -120, 70), (10, 140, -150)])
def test_x05_a_round_trip_never_pays(world: World, sizes: tuple[int, ...]) -> None:
    """From any side of the spread, with somebody long in the market: fees are lost, nothing won."""
    (other,) = gang(world, "other", 1, 2_000_000)
    world.open_position(other, BTC, 40)
    accounts = gang(world, "attacker", 1, 5_000_000)
    before, nav = worth(world, accounts), lines(world).nav
    for size in sizes:
        world.open_position(accounts[0], BTC, size)
    assert world.size(accounts[0], BTC) == 0
    turned = sum(map(abs, sizes)) * 50_000
    assert before - worth(world, accounts) >= turned * Decimal(100) / PPM  # the maker's fee
    world.markets.accrue([BTC], sender=world.keeper)
    assert lines(world).nav > nav


# --


def test_x06_the_fee_is_of_what_fills_when_it_fills(world: World) -> None:
    """A reduction is clamped, a price moves: the fee follows both, and a changed order is none."""
    trader = world.account("trader")
    world.deposit(trader, 40_000)
    world.open_position(trader, BTC, 1)
    order = world.order(trader, BTC, -5, reduce_only=True)
    world.commit(order)
    slot = world.due_slot(order, 60_000)
    with refused("orders: no such order"):
        world.execute(Order(order.account, BTC, order.size * 2, reduce_only=True), slot)
    assert world.execute(order, slot) == FILLED
    (change,) = world.evm.events("PositionChanged")
    assert change.args.size_delta == -WAD
    assert 60_000 * WAD * 100 // PPM <= change.args.fee <= 60_000 * WAD * 500 // PPM


# --


@pytest.mark.parametrize("acceptable", [0, 1, 2**128 - 1])
@pytest.mark.parametrize("fall", [0, 500, 3_000, 6_000])
def test_x07_no_parameter_of_an_order_makes_bad_debt(
    world: World, acceptable: int, fall: int
) -> None:
    """At any fall between commit and fill the order ends, or fills above initial margin."""
    trader = world.account("trader", 1)
    world.deposit(trader, 20_000)
    order = world.order(trader, BTC, "4.5", acceptable=acceptable)
    world.commit(order)
    slot = world.due_slot(order)
    world.post({BTC: 50_000 - fall})
    status = world.execute(order, slot)
    found = world.assess(trader)
    assert found.equity >= found.plain_initial if status == FILLED else found.equity > 0
    assert world.trade(world_rich(world), ETH, 1) == FILLED  # and nothing else stands still


def world_rich(world: World) -> bytes:
    account = world.account("rich")
    world.deposit(account, 100_000)
    return account


# --


@pytest.mark.parametrize("grid", [1, 5, 60])
def test_x08_an_order_finds_its_slot_on_any_grid(world: World, grid: int) -> None:
    """Committed at any second of a grid's step, it fills at the first step at or after due."""
    ring = world.instruments.ring_seconds() // grid + 1
    config = world.hub.feed_config(SOL)._replace(grid_seconds=grid, ring_length=max(ring, 16))
    feed = world.hub.add_feed(tuple(config), sender=world.governor)
    gaps = tuple(world.instruments.underlying_gaps(SOL))
    under = world.instruments.add_underlying(
        (feed, 105_000, 1_500_000, 2_000_000, 80_000, 1, 550_000), gaps, sender=world.governor
    )
    risk = (0, under, 0, 28_800, 20_000, 2_000, 15_000, 0)
    fill = (1_000_000 * WAD, 5_000, 200, 700, 20_000, 700)
    limit = (10_000 * WAD, 8_000_000, 100, 6_000, 12_500, 4_000, 2_000, 1_000)
    one = world.instruments.add_instrument(risk, fill, limit, sender=world.governor)
    trader = world.account("trader")
    world.deposit(trader, 20_000)
    world.evm.warp(grid - world.evm.timestamp % grid)
    world.post_price(feed, 100, world.evm.timestamp, previous=world.evm.timestamp - grid)
    for _ in range(3):
        world.evm.warp(1)
        order = world.order(trader, one, 10)
        world.commit(order)
        due = world.evm.timestamp + 2
        first = due + -due % grid
        for slot in range(world.hub.latest_slot(feed) + grid, first + 1, grid):
            world.evm.warp(max(0, slot - world.evm.timestamp))
            world.post_price(feed, 100, slot, previous=slot - grid)
        if world.evm.timestamp < due:
            world.evm.warp(due - world.evm.timestamp)
        assert world.execute(order, first) == FILLED


# --


def test_x09_anyone_closes_a_position_while_every_keeper_refuses(world: World) -> None:
    """The owner alone, with nothing but reports: commit, post, execute; halted or not."""
    trader = world.account("trader")
    owner = world.owner(trader)
    world.deposit(trader, 20_000)
    world.open_position(trader, BTC, 1)
    world.instruments.set_status(BTC, 2, sender=world.governor)
    order = world.order(trader, BTC, -1, reduce_only=True)
    world.commit(order)
    slot = world.due_slot(order)
    assert world.execute(order, slot, owner) == FILLED
    everything = world.cash(trader) // 10**12
    world.clearinghouse.withdraw(trader, everything, owner, sender=owner)


def test_k02_no_keeper_earns_by_making_orders_fail(world: World) -> None:
    """A fee is paid for a fill, a trigger, or an end that is its owner's doing; waiting for a
    better moment, an old slot or a wrong one pays nothing, nor does a halt."""
    trader = world.account("trader")
    world.deposit(trader, 20_000)
    pay = world.account(world.keeper)
    order = world.order(trader, BTC, 1, execution_fee=WAD)
    world.commit(order)
    slot = world.due_slot(order)
    with world.evm.trial():
        world.instruments.set_status(BTC, 2, sender=world.governor)
        assert world.execute(order, slot) == 7
        assert world.cash(pay) == 0
    with world.evm.trial():
        world.wait(121)
        world.orders.expire(order.as_argument(), slot, sender=world.keeper)
        assert world.cash(pay) == 0
    late = world.repost()
    with refused("orders: slot not the first"):
        world.execute(order, late)
    assert world.execute(order, slot) == FILLED
    assert world.cash(pay) == WAD


def test_x01_closing_together_is_the_integral_in_any_order(world: World) -> None:
    """Due orders of one slot may be filled in any order: what one gains another pays."""
    accounts = gang(world, "trader", 3, 500_000)
    for account, size in zip(accounts, (20, 60, 100), strict=True):
        world.open_position(account, BTC, size)
    retune(world, BTC, maker_ppm=0, taker_ppm=1)
    totals = []
    for each in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        with world.evm.trial():
            assert close(world, [accounts[i] for i in each], BTC) == [FILLED] * 3
            totals.append(sum(map(world.cash, accounts)))
    assert max(totals) - min(totals) <= 12
