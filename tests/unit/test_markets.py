"""Markets, a fill: price, fee, what is realised, limits, refusals; SPEC 5.6 to 5.13, 6.6.

One BTC is 50,000 USD and the depth of its market 8,000 BTC, so a trade from Q to Q + q costs
50,000·q·(2Q + q)/16,000 beside its value: 3.125 for the first BTC, 9.375 for the second.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from keeper.core.market import Lines
from tests.support.refusals import refused
from tests.support.staffed import Holder, House, event, retune, usd
from tests.support.world import BTC, ETH

DAY_OF_GAP = usd("1.369863013698630137")  # of a BTC at 50,000: 1 % / 365, rounded up
GAP = 15_854_895_991_883  # per BTC and second: 1 % of 50,000 a year, rounded up
UNIT = Decimal(1).scaleb(-18)
OPEN, REDUCE_ONLY, HALTED = 0, 1, 2


@pytest.fixture
def trader(house: House) -> Holder:
    return Holder(house, BTC)


# -- opening


def test_fill__a_long_pays_half_of_the_premium_it_makes(house: House, trader: Holder) -> None:
    now, before = house.world.evm.timestamp, house.lines
    done = trader.trade(1)
    fees = usd(25) + DAY_OF_GAP
    assert done == (
        usd(1),  # size
        usd("50003.125"),  # notional
        0,  # settled
        usd(1),  # delta
        usd("50003.125"),  # cost
        fees,
        0,  # owed
        -fees,  # cash
        usd("7.8125"),  # crowding: 1 % of 50,000 at 1 of 64 BTC
        0,  # reward
        house.world.hub.latest_slot(BTC),
        1,  # feed
        house.world.risk_engine.address,
    )
    state = house.market(BTC)
    assert (state.long_interest, state.short_interest) == (usd(1), 0)
    assert (state.notional_sum, state.index_sum) == (usd("50003.125"), 0)
    assert state.accrued_at == now
    assert state.rate == 217_013_888_888_888  # 50,000 / (8,000 · 28,800)
    assert state.gap == GAP
    # the pool owes the whole premium back, so its mark is nothing
    assert (state.mark, state.requirement) == (0, 2_600 * 10**6)
    assert house.lines == Lines(
        before.pool + usd("17.5"),
        before.insurance + usd(5) + DAY_OF_GAP,
        before.protocol + 2_500_000,
        0,
        usd(2_600),
    )


def test_fill__a_short_receives_less_by_the_same(house: House, trader: Holder) -> None:
    done = trader.trade(-1)
    assert (done.size, done.notional, done.cost) == (-usd(1), *2 * (-usd("49996.875"),))
    assert done.cash == -usd(25) - DAY_OF_GAP
    assert done.crowding == usd("7.8125")
    state = house.market(BTC)
    assert (state.long_interest, state.short_interest) == (0, usd(1))
    assert (state.notional_sum, state.mark) == (-usd("49996.875"), 0)
    assert state.rate == -217_013_888_888_888


def test_fill__tells_the_market_and_the_lines_as_they_are_after_it(
    house: House, trader: Holder
) -> None:
    trader.trade(-1)
    told = event(house.world, "MarketChanged")
    after = house.lines
    assert told.address == house.markets.address
    assert told.args == (
        BTC,
        *(0, 0),  # indices
        -217_013_888_888_888,
        GAP,
        *(0, usd(1)),  # open interest
        0,  # forced
        *(after.pool, after.insurance, after.protocol),
    )


def test_fill__in_parts_costs_what_it_costs_at_once(house: House) -> None:
    first, second = Holder(house, BTC), Holder(house, BTC)
    assert first.trade(1).cost == usd("50003.125")
    assert second.trade(1).cost == usd("50009.375")
    with_both = Holder(House(house.world), BTC)
    assert with_both.trade(2).cost == usd("100012.5")


def test_fill__cost_rounds_up_for_buyers_and_sellers(house: House) -> None:
    third = "0.333333333333333333"
    # 16,666.669999999999983333.33 of value and 0.347222291666666665.97 of premium, both up
    assert Holder(house, BTC).trade(third, "50000.01").cost == usd("16667.01722229166665")
    # −833.336666666666665833.33 and 0.001446765046296293.4: a third and a rest of a unit up
    assert Holder(house, ETH).trade("-" + third, "2500.01").cost == -usd("833.335219901620369536")


def test_fill__uses_the_index_price_of_the_order_not_the_stored_one(trader: Holder) -> None:
    done = trader.trade(1, 48_000)
    assert done.cost == usd(48_003)  # premium 48,000 / 16,000
    assert done.fee == usd(24) + usd("1.315068493150684932")
    assert done.crowding == usd("7.8125")  # of the stored price


def test_fill__crowding_grows_with_the_side_and_stops_at_the_cap(house: House) -> None:
    retune(house.world, BTC, oi_cap_wad=usd(4))
    assert Holder(house, BTC).trade(1).crowding == usd(125)  # 500 · 1 / 4
    assert Holder(house, BTC).trade(3).crowding == usd(1_500)  # 1,500 · 4 / 4
    retune(house.world, BTC, oi_cap_wad=usd(2))
    closing = Holder(house, BTC)
    closing.size, closing.notional = usd(3), usd(150_000)
    assert closing.trade("-0.5").crowding == usd(1_250)  # 2.5 BTC; 3.5 of 2 counts as all


# -- closing


def test_fill__a_round_trip_at_a_still_price_costs_the_fees(house: House, trader: Holder) -> None:
    before = house.lines
    opened, closed = trader.trade(1), trader.trade(-1)
    assert closed.cost == -opened.cost
    assert (closed.size, closed.notional, closed.settled) == (0, 0, 0)
    assert closed.cash == -closed.fee == -usd(10)  # it balances the pool: maker
    assert house.lines == Lines(
        before.pool + usd("17.5") + usd(7),
        before.insurance + usd(7) + DAY_OF_GAP,
        before.protocol + 2_500_000 + 1_000_000,
        0,
        0,
    )
    state = house.market(BTC)
    assert (state.long_interest, state.notional_sum, state.index_sum, state.rate) == (0, 0, 0, 0)


def test_fill__a_partial_close_realises_its_share(house: House, trader: Holder) -> None:
    """2 BTC for 100,012.5; half a BTC sold at 52,000 from Q = 2 brings 26,005.6875."""
    trader.trade(2)
    pool = house.lines.pool
    done = trader.trade("-0.5", 52_000)
    assert done.cost == -usd("26005.6875")
    assert (done.size, done.notional) == (usd("1.5"), usd("75009.375"))
    gain = usd("1002.5625")  # 26,005.6875 less 25,003.125
    fee = usd("5.2")
    assert (done.fee, done.cash) == (fee, gain - fee)
    assert house.lines.pool == pool - gain + usd("3.64")
    assert house.market(BTC).notional_sum == usd("75009.375")


def test_fill__a_short_realises_its_loss(trader: Holder) -> None:
    """1 BTC sold for 49,996.875, bought back at 50,500 from Q = −1 for 50,496.84375."""
    trader.trade(-1)
    done = trader.trade(1, 50_500)
    assert done.cost == usd("50496.84375")
    assert done.cash == -usd("499.96875") - usd("10.1")
    assert (done.size, done.notional, done.crowding) == (0, 0, 0)


def test_fill__what_stays_of_an_uneven_close_rounds_against_the_account(trader: Holder) -> None:
    """A seventh of a BTC closed: cost of the rest down, cost of the close up."""
    trader.trade(1)
    done = trader.trade("-0.142857142857142857", 50_001)
    assert done.cost == -usd("7143.829098214285707141")
    assert done.notional == usd("42859.821428571428578571")  # of ...571.4
    assert done.fee == usd("1.428599999999999999")  # of ...998.57
    assert done.cash == usd("0.525526785714285712") - done.fee


def test_fill__a_flip_closes_at_its_share_of_the_cost_and_opens_the_rest(
    house: House, trader: Holder
) -> None:
    """Long 1, three sold from Q = 1 for 149,990.625: one at 49,996.875, two opened."""
    trader.trade(1)
    insurance = house.lines.insurance
    done = trader.trade(-3)
    assert done.cost == -usd("149990.625")
    assert (done.size, done.notional) == (-usd(2), -usd("99993.75"))
    # 1 BTC brings the pool to flat (maker, 10), 2 take it away again (taker, 50)
    assert done.fee == usd(60) + usd("2.739726027397260274")
    assert done.cash == -usd("6.25") - done.fee
    assert house.lines.insurance == insurance + usd(12) + usd("2.739726027397260274")
    state = house.market(BTC)
    assert (state.long_interest, state.short_interest) == (0, usd(2))


def test_fill__maker_is_what_balances_the_pool_whoever_trades(house: House) -> None:
    long, other = Holder(house, BTC), Holder(house, BTC)
    long.trade(2)
    assert other.trade("-1.5").fee == usd(15) + usd("2.054794520547945206")  # all maker
    assert long.trade(1).fee == usd(25) + DAY_OF_GAP  # away from flat again: taker
    assert long.trade("-3").fee == usd(15) + usd("37.5")  # Q = 1.5: half and half


@pytest.mark.parametrize(
    ("size", "fee"), [("0.002000000000000007", 50_000_000_000_000_175), ("1.37", 34_250 * 10**15)]
)
def test_fill__the_fee_is_split_without_a_rest(
    house: House, trader: Holder, size: str, fee: int
) -> None:
    """20 % to insurance, 10 % in whole micro-USD to the protocol, the rest to the pool."""
    retune(house.world, BTC, gap_ppm_per_year=0)
    before = house.lines
    assert trader.trade(size).fee == fee
    after = house.lines
    insurance, protocol = after.insurance - before.insurance, after.protocol - before.protocol
    assert insurance == fee * 2_000 // 10_000
    assert protocol == fee * 1_000 // 10_000 // 10**12
    assert after.pool - before.pool == fee - insurance - protocol * 10**12


def test_fill__an_increase_settles_what_the_position_owed(house: House, trader: Holder) -> None:
    """8 BTC are 0.1 % of premium: 50 USD a BTC in a funding period, and the gap fee on top."""
    trader.trade(8)
    house.world.wait(28_800)
    index = (1_736_111_111_111_111 + GAP) * 28_800
    before = house.lines
    done = trader.trade(1)
    owed = 8 * index  # no rest: whole BTC
    assert (done.owed, done.settled) == (owed, index)
    assert done.cash == -owed - done.fee
    assert house.market(BTC).index_sum == 9 * index
    gap_fee = 8 * GAP * 28_800
    assert house.lines.pool == before.pool + owed - gap_fee + usd("17.5")
    assert house.lines.insurance == before.insurance + gap_fee + usd(5) + DAY_OF_GAP


def test_fill__a_rest_of_what_is_owed_goes_to_insurance(house: House, trader: Holder) -> None:
    retune(house.world, BTC, gap_ppm_per_year=0)
    trader.trade("8.000000000000000001")
    house.world.wait(28_800)
    rate = house.market(BTC).rate
    index = rate * 28_800
    before = house.lines
    done = trader.trade("-8.000000000000000001")
    assert done.owed == 8 * index + 50  # 49.99... units for the last one of size
    to_insurance = house.lines.insurance - before.insurance - done.fee * 2_000 // 10_000
    assert to_insurance == 1


# -- acceptable price


@pytest.mark.parametrize(("size", "average", "worse"), [(1, "50003.125", -1), (-1, "49996.875", 1)])
def test_fill__acceptable_price_holds_to_the_unit(
    house: House, trader: Holder, size: int, average: str, worse: int
) -> None:
    with house.refuses("fill: price"):
        trader.trade(size, acceptable=usd(average) + worse)
    assert trader.trade(size, acceptable=usd(average)).delta == usd(size)


def test_fill__acceptable_price_counts_the_premium_of_the_whole(
    house: House, trader: Holder
) -> None:
    with house.refuses("fill: price"):
        trader.trade(2, acceptable=usd("50003.125"))
    trader.trade(2, acceptable=usd("50006.25"))


# -- the least that may stand


@pytest.mark.parametrize("sign", [1, -1])
def test_fill__the_least_position_is_worth_the_minimum(
    house: House, trader: Holder, sign: int
) -> None:
    least = sign * Decimal("0.002")
    with house.refuses("fill: limit"):
        trader.trade(least - sign * UNIT)
    with house.refuses("fill: limit"):
        trader.trade(least, Decimal(50_000) - UNIT)
    assert trader.trade(least).size == usd(least)


def test_fill__a_close_that_leaves_less_takes_all(house: House, trader: Holder) -> None:
    trader.trade("0.01")
    done = trader.trade("-0.008000000000000001")
    assert (done.delta, done.size, done.notional) == (-usd("0.01"), 0, 0)
    assert house.market(BTC).long_interest == 0
    trader.trade("0.01")
    assert trader.trade("-0.008").size == usd("0.002")


def test_fill__a_flip_that_would_leave_less_closes(house: House, trader: Holder) -> None:
    trader.trade("0.01")
    closed = trader.trade("-0.011999999999999999")
    assert (closed.size, closed.delta) == (0, -usd("0.01"))
    trader.trade("0.01")
    assert trader.trade("-0.012").size == -usd("0.002")


# -- who may, and when


def test_fill__only_what_reduces_while_an_instrument_is_not_open(
    house: House, trader: Holder
) -> None:
    trader.trade(1)
    for status in (REDUCE_ONLY, HALTED):
        house.world.instruments.set_status(BTC, status, sender=house.world.governor)
        for size in ("0.1", "-1.1"):
            with house.refuses("fill: halted"):
                trader.trade(size)
        trader.trade("-0.1")
    house.world.instruments.set_status(BTC, OPEN, sender=house.world.governor)
    trader.trade("0.1")


def test_fill__opening_needs_a_fresh_and_tight_price(house: House, trader: Holder) -> None:
    trader.trade(1)
    house.world.evm.warp(121)
    with house.refuses("oracle: stale price"):
        trader.trade(1)
    trader.trade("-0.1")  # a recent price is enough
    house.world.post({BTC: 50_000}, confidence=5_001)
    with house.refuses("oracle: wide confidence"):
        trader.trade(1)
    trader.trade("-0.1")
    house.world.evm.warp(901)
    with house.refuses("oracle: stale price"):
        trader.trade("-0.1")


def test_fill__refuses_an_instrument_that_is_not_listed(house: House) -> None:
    with house.refuses("instruments: unknown instrument"):
        Holder(house, 4).trade(1)


# -- limits


def test_fill__premium_may_reach_its_bound_and_no_further(house: House, trader: Holder) -> None:
    """0.4 % of 8,000 BTC."""
    retune(house.world, BTC, premium_max_ppm=4_000)
    for sign in (1, -1):
        with house.refuses("fill: limit"):
            Holder(house, BTC).trade(sign * (32 + UNIT))
    trader.trade(32)
    with house.refuses("fill: limit"):
        Holder(house, BTC).trade("0.002")
    assert Holder(house, BTC).trade(-64).size == -usd(64)  # |Q| is no larger than before


def test_fill__open_interest_in_units_has_a_cap_on_each_side(house: House, trader: Holder) -> None:
    retune(house.world, BTC, oi_cap_wad=usd(50))
    with house.refuses("fill: limit"):
        trader.trade(50 + UNIT)
    trader.trade(50)
    with house.refuses("fill: limit"):
        Holder(house, BTC).trade("0.002")
    # a little more short than long leaves |Q| near 0, but that side is above the cap
    with house.refuses("fill: limit"):
        Holder(house, BTC).trade(-50 - UNIT)
    Holder(house, BTC).trade("-49.5")
    with house.refuses("fill: limit"):
        trader.trade("-50.6")  # a flip counts for the side that it ends on
    trader.trade("-50.5")
    assert house.market(BTC).short_interest == usd(50)


def test_fill__open_interest_in_usd_has_a_cap_at_the_stored_price(
    house: House, trader: Holder
) -> None:
    retune(house.world, BTC, oi_cap_usd=100_000)
    with house.refuses("fill: limit"):
        trader.trade("2.000000000000000001", 40_000)
    trader.trade(2, 60_000)
    house.world.post({BTC: 50_001})
    with house.refuses("fill: limit"):
        Holder(house, BTC).trade(-2)
    trader.trade("-0.5")  # a reduction is never limited


def test_fill__the_pool_carries_what_its_worth_allows(house: House, trader: Holder) -> None:
    """1 BTC asks 2,600 of the pool, twice that of NAV; 17.5 of it are the trade's own fee."""
    house.markets.change_lines(usd("5182.5") - house.lines.pool, 0, sender=house.sender)
    house.markets.change_lines(-1, 0, sender=house.sender)
    with house.refuses("fill: limit"):
        trader.trade(1)
    house.markets.change_lines(1, 0, sender=house.sender)
    trader.trade(1)
    assert house.lines.nav == usd(5_200)
    assert Holder(house, BTC).trade(-1).size == -usd(1)  # what balances the pool is not asked


def test_fill__limits_count_all_instruments_of_the_pool(house: House, trader: Holder) -> None:
    """1 BTC and 20 ETH ask 2,600 and 3,150; the fees leave the pool 17.5 each."""
    house.markets.change_lines(usd(11_500 - 35) - house.lines.pool - 1, 0, sender=house.sender)
    trader.trade(1)
    with house.refuses("fill: limit"):
        Holder(house, ETH).trade(20, 2_500)
    house.markets.change_lines(1, 0, sender=house.sender)
    Holder(house, ETH).trade(20, 2_500)
    assert house.lines.requirement == usd(5_750)


def test_fill__only_the_clearinghouse_may(house: House) -> None:
    for stranger in (house.world.governor, house.world.keeper):
        with refused("market: only clearinghouse"):
            house.markets.fill(BTC, 0, 0, 0, usd(1), usd(50_000), 0, sender=stranger)
