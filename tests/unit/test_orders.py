"""Orders: commit, fill at the determined price, every way to end, every refusal; SPEC 6."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import eth_abi
import pytest
from eth_utils import keccak

from tests.support.evm import Revert
from tests.support.refusals import refused
from tests.support.world import BTC, ETH, SOL, Number, Order, World

WAD = 10**18
PPM = 10**6
DELAY, WINDOW, BUFFER_PPM = 2, 120, 50_000

# of BTC in the parameter file
TAKER_PPM, GAP_PPM_PER_YEAR, LAPSE_PPM = 500, 10_000, 500
DEPTH = 102_400 * WAD

FILLED, PRICE, MARGIN, LIMIT, NOTHING, EXPIRED, CANCELLED, HALTED_FREE = range(8)
SKIPPED = 255
OPEN, REDUCE_ONLY, HALTED = 0, 1, 2
CHAIN_ID = 1


@pytest.fixture
def trader(world: World) -> bytes:
    """An account with 20,000 USD."""
    account = world.account("trader")
    world.deposit(account, 20_000)
    return account


def ceil(a: int, b: int) -> int:
    return -(-a // b)


def lapse_of(size: int, price: int) -> int:
    """SPEC 6.2, for BTC."""
    return ceil(LAPSE_PPM * abs(size) * price * WAD, PPM * WAD)


def state(world: World, order: Order) -> Any:
    """All that an order can move: itself, the account, the lines, the executor's pay."""
    id_ = world.orders.order_id(order.as_argument())
    return (
        world.orders.commitment(id_),
        world.clearinghouse.account_word(order.account),
        world.clearinghouse.position(order.account, order.instrument),
        world.markets.ledger(),
        world.cash(world.account(world.keeper)),
    )


def is_live(world: World, order: Order) -> bool:
    return bool(world.orders.commitment(world.orders.order_id(order.as_argument())).due)


def committed(world: World, account: bytes, size: Number, **fields: Any) -> Order:
    order = world.order(account, BTC, size, **fields)
    world.commit(order)
    return order


def ended(world: World) -> tuple[int, int, int, str]:
    """(status, slot, charge, executor) of the one order that the last transaction ended."""
    (event,) = world.evm.events("OrderEnded")
    return event.args[2:]


# -- commit


def test_commit__stores_one_word_and_tells_the_whole_order(world: World, trader: bytes) -> None:
    order = world.order(trader, BTC, 1, acceptable=51_000 * WAD, execution_fee=3 * WAD, salt=2**255)
    now, cash = world.evm.timestamp, world.cash(trader)
    id_ = world.commit(order)
    expected = eth_abi.encode(
        [
            "(bytes32,uint256,int256,uint256,bool,uint256,uint256,uint256,uint256,uint256,uint256)",
            "uint256",
            "address",
        ],
        [order.as_argument(), CHAIN_ID, world.orders.address],
    )
    assert id_ == keccak(expected) == world.orders.order_id(order.as_argument())
    added = 4_027 * WAD  # 1.5 x 5.2 % of 50,000, 8 h of funding at its cap, 2 USD
    gap = ceil(50_000 * WAD * GAP_PPM_PER_YEAR, PPM * 365)
    reserved = added + ceil(added * BUFFER_PPM, PPM) + 25 * WAD + gap
    due = now + DELAY
    (event,) = world.evm.events("OrderCommitted")
    assert tuple(event.args) == (
        id_, trader, BTC, WAD, 51_000 * WAD, False, 3 * WAD, 2**255,
        1, due, due + WINDOW, True, reserved, 25 * WAD, 0,
    )  # fmt: skip
    stored = (due, due + WINDOW, 1, True, reserved, 25 * WAD, 0)
    assert tuple(world.orders.commitment(id_)) == stored
    assert world.assess(trader).reserved == reserved
    assert world.cash(trader) == cash - 3 * WAD  # the fee waits with the order


def test_commit__by_nobody_but_the_owner(world: World, trader: bytes) -> None:
    order = world.order(trader, BTC, 1)
    before = state(world, order)
    for caller in (world.keeper, world.governor, world.wallet("thief")):
        with refused("account: not the owner"):
            world.orders.commit(order.as_argument(), sender=caller)
    with refused("account: not the owner"):
        world.orders.commit(
            world.order(bytes(32), BTC, 1).as_argument(), sender=world.wallet("thief")
        )
    assert state(world, order) == before


def test_commit__once_while_it_is_live(world: World, trader: bytes) -> None:
    order = committed(world, trader, "0.1")
    before = state(world, order)
    with refused("orders: already committed"):
        world.commit(order)
    assert state(world, order) == before
    world.commit(replace(order, salt=order.salt + 1))
    world.orders.cancel(order.as_argument(), sender=world.owner(trader))
    world.evm.warp(60)
    world.commit(order)  # an ended id is free again, with a time of its own
    assert (
        world.orders.commitment(world.orders.order_id(order.as_argument())).due
        == world.evm.timestamp + DELAY
    )


@pytest.mark.parametrize(
    ("field", "figure"),
    [
        ("size", 2**92),
        ("size", -(2**92)),
        ("size", -(2**255)),
        ("size", 2**255 - 1),
        ("acceptable", 2**128),
        ("acceptable", 2**256 - 1),
        ("execution_fee", 2**92),
        ("execution_fee", 2**256 - 1),
    ],
)
def test_commit__figures_out_of_range(world: World, trader: bytes, field: str, figure: int) -> None:
    figures: dict[str, Any] = {field: figure}
    order = replace(world.order(trader, BTC, 1), **figures)
    with refused("orders: figure out of range"):
        world.commit(order)


def test_commit__what_hold_refuses_leaves_nothing_behind(world: World, trader: bytes) -> None:
    def refuses(reason: str, instrument: int = BTC, **fields: Any) -> None:
        order = replace(world.order(trader, instrument, 1), **fields)
        before = state(world, replace(order, instrument=BTC))
        with refused(reason):
            world.commit(order)
        assert state(world, replace(order, instrument=BTC)) == before

    refuses("orders: figure out of range", size=0)
    refuses("market: size below minimum", size=2 * 10**15 - 1)  # 100 USD is the least
    refuses("account: not enough margin", size=5 * WAD)
    refuses("order: nothing to reduce", reduce_only=True)
    refuses("instruments: unknown instrument", instrument=4)
    refuses("instruments: unknown instrument", instrument=2**256 - 1)
    for status in (REDUCE_ONLY, HALTED):
        world.instruments.set_status(BTC, status, sender=world.governor)
        refuses("market: not open")
    world.instruments.set_status(BTC, OPEN, sender=world.governor)
    world.post({BTC: 50_000}, confidence=5_001)
    refuses("oracle: wide confidence")
    world.post({BTC: 50_000})
    world.evm.warp(121)
    refuses("oracle: stale price")


def test_commit__reserves_make_the_next_order_smaller(world: World, trader: bytes) -> None:
    committed(world, trader, 3)
    order = world.order(trader, BTC, 3)
    with refused("account: not enough margin"):
        world.commit(order)
    with refused("account: not enough margin"):
        world.commit(world.order(trader, ETH, 60))


def test_commit__nothing_before_the_delay_is_set(world: World, trader: bytes) -> None:
    bare = world.evm.deploy(
        world.artifacts["Orders"],
        world.governor,
        world.clearinghouse.address,
        world.instruments.address,
        world.hub.address,
        sender=world.governor,
    )
    with refused("orders: no delay set"):
        bare.commit(world.order(trader, BTC, 1).as_argument(), sender=world.owner(trader))


def test_commit__what_prices_the_order_is_fixed(world: World, trader: bytes) -> None:
    order = committed(world, trader, 1)
    id_ = world.orders.order_id(order.as_argument())
    before = world.orders.commitment(id_)
    world.orders.set_timing(300, 10, sender=world.governor)
    world.orders.set_buffer(PPM, sender=world.governor)
    assert world.orders.commitment(id_) == before
    assert world.execute(order, world.due_slot(order)) == FILLED


# -- execute: filled


def cost_of(size: int, price: int, net: int = 0) -> int:
    """SPEC 5.7 for a future of depth DEPTH, price in WAD."""
    return ceil(price * size, WAD) + ceil(price * size * (2 * net + size), 2 * DEPTH * WAD)


@pytest.mark.parametrize(("size", "paid"), [(1, 50_100), (-1, 50_010)])
def test_execute__buys_at_the_slots_high_and_sells_at_its_low(
    world: World, trader: bytes, size: int, paid: int
) -> None:
    order = committed(world, trader, size)
    world.evm.warp(DELAY)
    slot = world.evm.timestamp
    world.post_price(BTC, [50_030, 50_010, 50_100], slot)
    assert world.execute(order, slot) == FILLED
    (change,) = world.evm.events("PositionChanged")
    assert change.args.size_delta == change.args.size == size * WAD
    assert change.args.fill_notional == cost_of(size * WAD, paid * WAD)
    assert world.price(BTC) == 50_030
    assert ended(world) == (FILLED, slot, 0, world.keeper)
    assert world.assess(trader).reserved == 0
    assert not is_live(world, order)


def test_execute__by_anyone_and_the_fee_is_his(world: World, trader: bytes) -> None:
    for number, executor in enumerate(("stranger", "trader")):
        name = world.wallet(executor)
        order = committed(world, trader, "0.1", execution_fee=(number + 2) * WAD)
        slot = world.due_slot(order)
        before = world.cash(world.account(name))
        assert world.execute(order, slot, name) == FILLED
        if executor == "stranger":
            assert world.cash(world.account(name)) == before + 2 * WAD
        else:
            (change,) = world.evm.events("PositionChanged")
            assert world.cash(trader) == before - change.args.fee - change.args.owed + 3 * WAD


def test_execute__fills_at_its_slot_though_newer_prices_are_known(
    world: World, trader: bytes
) -> None:
    order = committed(world, trader, 1)
    slot = world.due_slot(order, 50_500)
    world.post({BTC: 51_000})
    world.post({BTC: 49_000})
    assert world.execute(order, slot) == FILLED
    (change,) = world.evm.events("PositionChanged")
    assert change.args.fill_notional == cost_of(WAD, 50_500 * WAD)


def test_execute__the_same_outcome_at_any_time_of_the_window(world: World, trader: bytes) -> None:
    order = committed(world, trader, 1)
    slot = world.due_slot(order, 50_500)
    world.wait(WINDOW - 1)
    world.evm.warp(1)
    found = world.orders.commitment(world.orders.order_id(order.as_argument()))
    assert world.evm.timestamp == found.deadline
    assert world.execute(order, slot) == FILLED
    (change,) = world.evm.events("PositionChanged")
    assert change.args.fill_notional == cost_of(WAD, 50_500 * WAD)


def test_execute__reduce_only_never_passes_the_position(world: World, trader: bytes) -> None:
    world.open_position(trader, BTC, 1)
    order = committed(world, trader, -3, reduce_only=True)
    held = world.orders.commitment(world.orders.order_id(order.as_argument()))
    assert held.reserved == held.lapse == 75 * WAD  # 0.05 % of 150,000
    assert world.execute(order, world.due_slot(order)) == FILLED
    assert world.size(trader, BTC) == 0
    (change,) = world.evm.events("PositionChanged")
    assert change.args.size_delta == -WAD


def test_execute__reductions_fill_in_a_halted_market(world: World, trader: bytes) -> None:
    world.open_position(trader, BTC, 1)
    world.instruments.set_status(BTC, HALTED, sender=world.governor)
    assert world.trade(trader, BTC, -1) == FILLED


# -- execute: which slot


def test_execute__only_at_the_first_slot_at_or_after_due(world: World, trader: bytes) -> None:
    order = committed(world, trader, 1)
    due = world.evm.timestamp + DELAY
    world.post({BTC: 50_000})  # due - 1
    before = state(world, order)
    with refused("orders: slot before due"):
        world.execute(order, due - 1)
    with refused("oracle: slot not in ring"):
        world.execute(order, due)
    world.evm.warp(3)
    world.post_price(BTC, 50_000, due + 1, previous=due - 1)
    world.post_price(BTC, 40_000, due + 2, previous=due + 1)
    with refused("orders: slot not the first"):
        world.execute(order, due + 2)
    with refused("oracle: slot not in ring"):
        world.execute(order, due)
    assert world.orders.executable(order.as_argument(), due + 2) is False
    assert world.orders.executable(order.as_argument(), due + 1) is True
    assert state(world, order)[:3] == before[:3]
    assert world.execute(order, due + 1) == FILLED
    assert world.orders.executable(order.as_argument(), due + 1) is False


def test_execute__the_slot_before_it_must_be_before_due(world: World, trader: bytes) -> None:
    order = committed(world, trader, 1)
    due = world.evm.timestamp + DELAY
    world.evm.warp(5)
    world.post_price(BTC, 50_000, due + 3, previous=due)
    with refused("orders: slot not the first"):
        world.execute(order, due + 3)
    assert is_live(world, order)


def test_execute__refusals_change_nothing(world: World, trader: bytes) -> None:
    order = committed(world, trader, 1, execution_fee=WAD)
    slot = world.due_slot(order)
    before = state(world, order)
    for changed in (
        {"size": WAD + 1},
        {"acceptable": 1},
        {"reduce_only": True},
        {"execution_fee": 5 * WAD},
        {"salt": 99},
        {"instrument": ETH},
        {"account": world.account("trader", 1)},
    ):
        with refused("orders: no such order"):
            world.execute(replace(order, **changed), slot)
    world.evm.warp(WINDOW)
    world.repost()
    world.evm.warp(1)
    assert world.orders.executable(order.as_argument(), slot) is False
    with refused("orders: window is over"):
        world.execute(order, slot)
    assert state(world, order)[:3] == before[:3]


def test_execute__once(world: World, trader: bytes) -> None:
    order = committed(world, trader, 1, execution_fee=WAD)
    slot = world.due_slot(order)
    world.execute(order, slot)
    before = state(world, order)
    with refused("orders: no such order"):
        world.execute(order, slot)
    with refused("orders: no such order"):
        world.orders.cancel(order.as_argument(), sender=world.owner(trader))
    world.evm.warp(DELAY + WINDOW + 1)
    with refused("orders: no such order"):
        world.orders.expire(order.as_argument(), slot, sender=world.keeper)
    assert state(world, order) == before


# -- execute: ended unfilled


def test_execute__worse_than_acceptable_ends_at_the_orders_cost(
    world: World, trader: bytes
) -> None:
    fair = cost_of(WAD, 50_200 * WAD)
    for acceptable, expected in ((fair - 1, PRICE), (fair, FILLED)):
        with world.evm.trial():
            order = committed(world, trader, 1, acceptable=acceptable, execution_fee=2 * WAD)
            slot = world.due_slot(order, 50_200)
            cash, insurance = world.cash(trader), world.markets.ledger()[1]
            pay = world.cash(world.account(world.keeper))
            assert world.execute(order, slot) == expected
            assert world.cash(world.account(world.keeper)) == pay + 2 * WAD
            if expected == PRICE:
                charge = lapse_of(WAD, 50_000)
                assert world.cash(trader) == cash - charge
                assert world.markets.ledger()[1] == insurance + charge
                assert ended(world) == (PRICE, slot, charge, world.keeper)
            assert world.assess(trader).reserved == 0
            assert not is_live(world, order)


def test_execute__a_sale_below_acceptable_ends_too(world: World, trader: bytes) -> None:
    fair = -cost_of(-WAD, 49_800 * WAD)
    for acceptable, expected in ((fair + 1, PRICE), (fair, FILLED)):
        with world.evm.trial():
            order = committed(world, trader, -1, acceptable=acceptable)
            assert world.execute(order, world.due_slot(order, 49_800)) == expected


def test_execute__too_little_margin_ends_at_the_orders_cost(world: World, trader: bytes) -> None:
    world.open_position(trader, ETH, 40)
    order = committed(world, trader, 2, execution_fee=WAD)
    world.evm.warp(DELAY)
    slot = world.evm.timestamp
    world.post_price(BTC, 50_000, slot)
    world.post_price(ETH, 2_400, slot)  # 4,000 lost meanwhile
    cash, insurance = world.cash(trader), world.markets.ledger()[1]
    assert world.execute(order, slot) == MARGIN
    charge = lapse_of(order.size, 50_000)
    assert world.cash(trader) == cash - charge
    assert world.markets.ledger()[1] == insurance + charge
    assert world.cash(world.account(world.keeper)) == WAD
    assert ended(world) == (MARGIN, slot, charge, world.keeper)
    assert world.size(trader, BTC) == 0


def test_execute__margin_must_hold_at_the_newest_price_too(world: World, trader: bytes) -> None:
    """A fill at its slot's price that is under water by now is refused, at the order's cost."""
    order = committed(world, trader, "4.5")
    slot = world.due_slot(order)
    with world.evm.trial():
        assert world.execute(order, slot) == FILLED
    world.post({BTC: 49_000})
    assert world.execute(order, slot) == MARGIN


@pytest.mark.parametrize("status", [REDUCE_ONLY, HALTED])
def test_execute__a_halt_ends_orders_free(world: World, trader: bytes, status: int) -> None:
    order = committed(world, trader, 1, execution_fee=2 * WAD)
    slot = world.due_slot(order)
    cash, lines = world.cash(trader), world.markets.ledger()[:3]
    world.instruments.set_status(BTC, status, sender=world.governor)
    assert world.execute(order, slot) == HALTED_FREE
    assert world.cash(trader) == cash + 2 * WAD  # the fee is back
    assert world.markets.ledger()[:3] == lines
    assert world.cash(world.account(world.keeper)) == 0
    assert ended(world) == (HALTED_FREE, slot, 0, world.keeper)
    assert world.assess(trader).reserved == 0


def test_execute__a_halt_is_not_free_for_what_was_a_reduction(world: World, trader: bytes) -> None:
    """Its owner made it an opening by moving the position away."""
    world.open_position(trader, BTC, 1)
    other = world.account("trader", 1)
    world.deposit(other, 20_000)
    order = committed(world, trader, -1, execution_fee=WAD)
    slot = world.due_slot(order)
    world.instruments.set_status(BTC, HALTED, sender=world.governor)
    world.clearinghouse.move_position(trader, other, BTC, sender=world.owner(trader))
    cash = world.cash(trader)
    assert world.execute(order, slot) == HALTED_FREE
    charge = lapse_of(WAD, 50_000)
    assert ended(world) == (HALTED_FREE, slot, charge, world.keeper)
    assert world.cash(trader) == cash - charge
    assert world.cash(world.account(world.keeper)) == WAD


def test_execute__what_the_pool_cannot_carry_is_charged(world: World) -> None:
    account = world.account("whale")
    world.deposit(account, 2_000_000)
    most = DEPTH // WAD * world.terms.instruments["BTC-PERP"].premium_max_percent / 100
    order = committed(world, account, most + Decimal("0.000001"))
    cash, slot = world.cash(account), world.due_slot(order)
    assert world.execute(order, slot) == LIMIT
    charge = lapse_of(order.size, 50_000)
    assert ended(world) == (LIMIT, slot, charge, world.keeper)
    assert world.cash(account) == cash - charge
    assert world.trade(account, BTC, most) == FILLED


def test_execute__nothing_to_reduce_is_charged(world: World, trader: bytes) -> None:
    world.open_position(trader, BTC, 1)
    order = committed(world, trader, -1, reduce_only=True, execution_fee=WAD)
    slot, lapse = world.due_slot(order), 25 * WAD  # 0.05 % of 50,000
    world.trade(trader, BTC, -1)
    cash = world.cash(trader)
    assert world.execute(order, slot) == NOTHING
    assert world.cash(trader) == cash - lapse
    assert ended(world) == (NOTHING, slot, lapse, world.keeper)


def test_execute__an_old_price_leaves_the_order_as_it_is(world: World, trader: bytes) -> None:
    world.orders.set_timing(2, 900, sender=world.governor)
    order = committed(world, trader, 1, execution_fee=WAD)
    slot = world.due_slot(order)
    world.evm.warp(121)
    before = state(world, order)
    with refused("oracle: stale price"):
        world.execute(order, slot)
    assert state(world, order) == before
    world.repost()
    assert world.execute(order, slot) == FILLED


def test_execute__sparing_gas_never_ends_an_order(world: World, trader: bytes) -> None:
    """Whoever chooses the gas must not choose the reason."""
    order = committed(world, trader, 1, execution_fee=WAD)
    slot = world.due_slot(order)
    data = world.orders.execute.encode(order.as_argument(), slot)
    before = state(world, order)
    fills = 0
    for gas in range(30_000, 600_000, 3_000):
        with world.evm.trial():
            try:
                world.evm.transact(world.orders.address, data, world.keeper, gas=gas)
            except Revert:
                assert state(world, order) == before
            else:
                assert ended(world)[0] == FILLED
                fills += 1
    assert 0 < fills < 190


# -- execute_many


def test_execute_many__one_bad_item_blocks_nobody(world: World, trader: bytes) -> None:
    other = world.account("other")
    world.deposit(other, 20_000)
    good = committed(world, trader, "0.5", execution_fee=WAD)
    dear = committed(world, other, "0.5", acceptable=1)
    waiting = replace(good, salt=77)  # never committed
    slot = world.due_slot(good)
    late = committed(world, other, "0.5")
    batch = [waiting, good, good, late, dear]
    arguments = [o.as_argument() for o in batch]
    slots = [slot] * len(batch)
    expected = (SKIPPED, FILLED, SKIPPED, SKIPPED, PRICE)
    assert world.orders.execute_many.simulate(arguments, slots, sender=world.keeper) == expected
    world.orders.execute_many(arguments, slots, sender=world.keeper)
    endings = [(e.args.account, e.args.status) for e in world.evm.events("OrderEnded")]
    assert endings == [(trader, FILLED), (other, PRICE)]
    assert world.cash(world.account(world.keeper)) == WAD
    assert is_live(world, late)


def test_execute_many__skips_what_the_clearinghouse_refuses(world: World, trader: bytes) -> None:
    """An account whose book has a stale price does not stop the others."""
    world.orders.set_timing(2, 900, sender=world.governor)
    sol = world.account("other")
    world.deposit(sol, 20_000)
    world.open_position(sol, SOL, 10)
    stuck = committed(world, sol, "0.5")
    good = committed(world, trader, "0.5")
    slot = world.due_slot(good)
    world.evm.warp(121)
    world.post({BTC: 50_000, ETH: 2_500})
    before = state(world, stuck)[:3]
    world.orders.execute_many(
        [stuck.as_argument(), good.as_argument()], [slot, slot], sender=world.keeper
    )
    assert [e.args.account for e in world.evm.events("OrderEnded")] == [trader]
    assert state(world, stuck)[:3] == before


def test_execute_many__as_many_slots_as_orders(world: World, trader: bytes) -> None:
    order = committed(world, trader, 1)
    with refused("orders: lengths differ"):
        world.orders.execute_many([order.as_argument()], [], sender=world.keeper)
    assert world.orders.execute_many([], [], sender=world.keeper) == ()


# -- expire


def test_expire__an_order_that_could_have_filled_pays(world: World, trader: bytes) -> None:
    order = committed(world, trader, 1, execution_fee=2 * WAD)
    slot = world.due_slot(order)
    stranger = world.wallet("stranger")
    with refused("orders: window is open"):
        world.orders.expire(order.as_argument(), slot, sender=stranger)
    world.evm.warp(WINDOW)
    with refused("orders: window is open"):
        world.orders.expire(order.as_argument(), slot, sender=stranger)
    world.evm.warp(1)
    cash, insurance = world.cash(trader), world.markets.ledger()[1]
    world.orders.expire(order.as_argument(), slot, sender=stranger)
    charge = lapse_of(WAD, 50_000)
    assert world.cash(trader) == cash - charge + 2 * WAD  # nobody is paid for it
    assert world.markets.ledger()[1] == insurance + charge
    assert world.cash(world.account(stranger)) == 0
    assert ended(world) == (EXPIRED, slot, charge, stranger)
    assert world.assess(trader).reserved == 0
    with refused("orders: no such order"):
        world.orders.expire(order.as_argument(), slot, sender=stranger)


def test_expire__an_order_whose_slot_came_too_late_is_free(world: World, trader: bytes) -> None:
    order = committed(world, trader, 1)
    deadline = world.evm.timestamp + DELAY + WINDOW
    cash, lines = world.cash(trader), world.markets.ledger()[:3]
    world.evm.warp(DELAY + WINDOW)
    for slot, charged in ((deadline, True), (deadline + 1, False)):
        with world.evm.trial():
            world.evm.warp(slot - deadline)
            world.post_price(BTC, 50_000, slot)
            world.evm.warp(1)
            world.orders.expire(order.as_argument(), slot, sender=world.keeper)
            assert (world.cash(trader) < cash) is charged
            assert (world.markets.ledger()[:3] != lines) is charged


def test_expire__nobody_chooses_a_slot_that_costs_less(world: World, trader: bytes) -> None:
    """A trader who regrets names any slot but the one that decides."""
    order = committed(world, trader, 1)
    slot = world.due_slot(order)
    world.evm.warp(WINDOW)
    late = world.post({BTC: 50_000})
    found = world.orders.commitment(world.orders.order_id(order.as_argument()))
    assert late > found.deadline
    owner = world.owner(trader)
    before = state(world, order)
    with refused("orders: slot not the first"):
        world.orders.expire(order.as_argument(), late, sender=owner)
    with refused("orders: slot before due"):
        world.orders.expire(order.as_argument(), found.due - 1, sender=owner)
    with refused("oracle: slot not in ring"):
        world.orders.expire(order.as_argument(), slot + 1, sender=owner)
    with refused("orders: slot before due"):
        world.orders.expire(order.as_argument(), 0, sender=owner)
    assert state(world, order) == before


# -- cancel


def test_cancel__free_before_due(world: World, trader: bytes) -> None:
    cash, lines = world.cash(trader), world.markets.ledger()
    order = committed(world, trader, 1, execution_fee=2 * WAD)
    world.evm.warp(DELAY - 1)
    world.orders.cancel(order.as_argument(), sender=world.owner(trader))
    assert ended(world) == (CANCELLED, 0, 0, world.owner(trader))
    assert world.cash(trader) == cash
    assert world.markets.ledger() == lines
    assert world.assess(trader).reserved == 0


def test_cancel__not_from_due_until_the_window_is_over_then_at_the_charge(
    world: World, trader: bytes
) -> None:
    order = committed(world, trader, 1, execution_fee=2 * WAD)
    owner, cash = world.owner(trader), world.cash(trader)
    for seconds in (DELAY, WINDOW):
        world.evm.warp(seconds)
        with refused("orders: due already"):
            world.orders.cancel(order.as_argument(), sender=owner)
    assert is_live(world, order)
    world.evm.warp(1)
    insurance = world.markets.ledger()[1]
    world.orders.cancel(order.as_argument(), sender=owner)
    charge = lapse_of(WAD, 50_000)
    assert ended(world) == (CANCELLED, 0, charge, owner)
    assert world.cash(trader) == cash - charge + 2 * WAD
    assert world.markets.ledger()[1] == insurance + charge


def test_cancel__by_nobody_but_the_owner(world: World, trader: bytes) -> None:
    order = committed(world, trader, 1)
    before = state(world, order)
    with refused("account: not the owner"):
        world.orders.cancel(order.as_argument(), sender=world.keeper)
    with refused("orders: no such order"):
        world.orders.cancel(replace(order, salt=99).as_argument(), sender=world.owner(trader))
    assert state(world, order) == before


# -- setters


def test_set_timing__bounds_and_owner(world: World, trader: bytes) -> None:
    orders, governor = world.orders, world.governor
    with refused("ownable: caller is not the owner"):
        orders.set_timing(1, 10, sender=world.owner(trader))
    for delay in (0, 301, 2**255):
        with refused("orders: delay out of range"):
            orders.set_timing(delay, 10, sender=governor)
    for window in (9, 3_601, 2**255):
        with refused("orders: window out of range"):
            orders.set_timing(1, window, sender=governor)
    assert tuple(orders.policy()) == (DELAY, WINDOW, BUFFER_PPM)
    orders.set_timing(300, 600, sender=governor)
    (event,) = world.evm.events("TimingChanged")
    assert tuple(event.args) == (300, 600)
    assert tuple(orders.policy()) == (300, 600, BUFFER_PPM)


def test_set_timing__a_window_no_longer_than_the_rings_reach_back(world: World) -> None:
    """A slot that is overwritten before its order can end would leave its price to choice."""
    reach = world.instruments.ring_seconds()
    assert reach == min(
        config.grid_seconds * config.ring_length
        for config in (world.hub.feed_config(feed) for feed in (BTC, ETH, SOL))
    )
    longest = reach - 300 - 60
    world.orders.set_timing(300, longest, sender=world.governor)
    with refused("orders: window outlasts a ring"):
        world.orders.set_timing(300, longest + 1, sender=world.governor)
    with refused("orders: window outlasts a ring"):
        world.orders.set_timing(300, 3_600, sender=world.governor)
    config = world.hub.feed_config(BTC)._replace(ring_length=reach - 1)
    feed = world.hub.add_feed(tuple(config), sender=world.governor)
    gaps = tuple(world.instruments.underlying_gaps(1))
    terms = (feed, 52_000, 1_500_000, 10_000_000, 50_000, 1, 550_000)
    with refused("instruments: ring too short"):
        world.instruments.add_underlying(terms, gaps, sender=world.governor)


def test_set_buffer__bounds_and_owner(world: World, trader: bytes) -> None:
    orders, governor = world.orders, world.governor
    with refused("ownable: caller is not the owner"):
        orders.set_buffer(0, sender=world.owner(trader))
    with refused("orders: buffer out of range"):
        orders.set_buffer(PPM + 1, sender=governor)
    orders.set_buffer(PPM, sender=governor)
    (event,) = world.evm.events("BufferChanged")
    assert tuple(event.args) == (PPM,)
    assert tuple(orders.policy()) == (DELAY, WINDOW, PPM)


# -- attacks


def test_attack__two_accounts_one_order_each_at_the_price_of_its_own_time(
    world: World, trader: bytes
) -> None:
    """The executor cannot give a friend's order the slot of another."""
    friend = world.account("friend")
    world.deposit(friend, 20_000)
    early = committed(world, trader, 1)
    world.evm.warp(1)
    late = committed(world, friend, 1)
    first = world.due_slot(early, 50_000)
    second = world.post({BTC: 50_400})
    with refused("orders: slot before due"):
        world.execute(late, first)
    with refused("orders: slot not the first"):
        world.execute(early, second)
    assert world.execute(late, second) == FILLED
    (change,) = world.evm.events("PositionChanged")
    assert change.args.fill_notional == cost_of(WAD, 50_400 * WAD)
    assert world.execute(early, first) == FILLED
    (change,) = world.evm.events("PositionChanged")
    assert change.args.fill_notional == cost_of(WAD, 50_000 * WAD, net=WAD)


def test_attack__no_free_look(world: World, trader: bytes) -> None:
    """A trader commits both ways, waits for the price and wants the winner only: the loser
    cannot be taken back, and letting it lapse costs the charge."""
    long = committed(world, trader, "0.5")
    short = committed(world, trader, "-0.5")
    slot = world.due_slot(long, 51_000)
    owner, before = world.owner(trader), world.cash(trader)
    with refused("orders: due already"):
        world.orders.cancel(short.as_argument(), sender=owner)
    world.evm.warp(WINDOW + 1)
    for order in (long, short):
        world.orders.expire(order.as_argument(), slot, sender=world.keeper)
    assert world.cash(trader) == before - 2 * lapse_of(WAD // 2, 50_000)


def test_attack__what_is_reserved_cannot_leave(world: World, trader: bytes) -> None:
    committed(world, trader, 4, execution_fee=5 * WAD)
    owner = world.owner(trader)
    free = world.cash(trader) - world.assess(trader).reserved
    native = free // 10**12
    with refused("account: below initial margin"):
        world.clearinghouse.withdraw(trader, native + 1, owner, sender=owner)
    world.clearinghouse.withdraw(trader, native, owner, sender=owner)


def test_attack__the_fee_of_a_live_order_is_nobodys_equity(world: World, trader: bytes) -> None:
    """Tokens held are the lines, all cash and the fees that wait with orders."""

    def total() -> int:
        accounts = (trader, world.account(world.keeper), world.account("stranger"))
        pool, insurance, protocol, _, _ = world.markets.ledger()
        return sum(map(world.cash, accounts)) + pool + insurance + protocol * 10**12

    held = world.usdc.balanceOf(world.clearinghouse.address) * 10**12
    assert total() == held
    order = committed(world, trader, 1, execution_fee=7 * WAD)
    assert total() == held - 7 * WAD
    with world.evm.trial():
        world.execute(order, world.due_slot(order), world.wallet("stranger"))
        assert total() == held
    world.orders.cancel(order.as_argument(), sender=world.owner(trader))
    assert total() == held
