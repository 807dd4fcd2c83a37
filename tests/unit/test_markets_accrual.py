"""Markets over time: funding, gap fee, the pool's mark, settling; SPEC 5.2 to 5.6, 5.11.

With Q = 8 BTC at 50,000 the premium is 0.1 %, so a BTC owes 50 USD in a funding period of 8
hours: 1,736,111,111,111,111 a second, rounded towards zero. The gap fee of a BTC is 500 USD a
year: 15,854,895,991,883 a second, rounded up.
"""

from __future__ import annotations

import pytest

from scripts.plan import NO_SOURCE
from tests.support.refusals import refused
from tests.support.staffed import Holder, House, event, retune, usd
from tests.support.world import BTC, ETH, PRICES, SOL

RATE = 1_736_111_111_111_111  # Q = 8 BTC
CAP = 4_340_277_777_777_777  # 0.75 % of 50,000 a day
GAP = 15_854_895_991_883
PERIOD = 28_800
TEN_YEARS = 315_360_000


@pytest.fixture
def long(house: House) -> Holder:
    """8 BTC long, the only position."""
    holder = Holder(house, BTC)
    holder.trade(8)
    return holder


# -- indices


def test_accrue__longs_pay_funding_and_both_sides_the_gap_fee(house: House, long: Holder) -> None:
    assert (house.market(BTC).rate, house.market(BTC).gap) == (RATE, GAP)
    before = house.lines
    house.world.evm.warp(PERIOD)
    house.accrue(BTC)
    state = house.market(BTC)
    assert state.long_index == (RATE + GAP) * PERIOD
    assert state.short_index == (GAP - RATE) * PERIOD
    assert state.accrued_at == house.world.evm.timestamp
    fee = 8 * GAP * PERIOD
    assert house.lines.pool == before.pool - fee
    assert house.lines.insurance == before.insurance + fee
    assert house.lines.protocol == before.protocol
    # the index is the pool's claim: what it advanced comes back, and the funding with it
    assert state.mark == 8 * (RATE + GAP) * PERIOD
    assert house.lines.nav == before.nav + 8 * RATE * PERIOD


def test_accrue__shorts_pay_when_there_are_more_of_them(house: House) -> None:
    Holder(house, BTC).trade(-8)
    house.world.evm.warp(PERIOD)
    house.accrue(BTC)
    state = house.market(BTC)
    assert state.rate == -RATE
    assert state.long_index == (GAP - RATE) * PERIOD
    assert state.short_index == (RATE + GAP) * PERIOD


def test_accrue__funding_is_capped_on_both_sides(house: House) -> None:
    """20 BTC would pay 0.25 % in 8 hours, which is the cap of a day in a third of it."""
    holder = Holder(house, BTC)
    holder.trade(20)
    assert house.market(BTC).rate == CAP
    holder.trade("-0.1")  # 19.9 BTC: below it
    assert house.market(BTC).rate == CAP * 199 // 200 == 4_318_576_388_888_888
    holder.trade("40.1")
    assert house.market(BTC).rate == CAP
    holder.trade("-120")
    assert house.market(BTC).rate == -CAP


def test_accrue__tells_the_market_as_it_is_after_it(house: House, long: Holder) -> None:
    house.world.evm.warp(10)
    house.accrue(BTC)
    told, lines = event(house.world, "MarketChanged").args, house.lines
    assert told == (
        BTC,
        (RATE + GAP) * 10,
        (GAP - RATE) * 10,
        RATE,
        GAP,
        usd(8),
        0,
        0,
        lines.pool,
        lines.insurance,
        lines.protocol,
    )


def test_accrue__several_instruments_in_one_call(house: House) -> None:
    house.accrue(BTC, ETH, SOL)
    first = [house.market(one).gap for one in (BTC, ETH, SOL)]
    # 1 %, 1.5 %, 3 % a year of 50,000, 2,500 and 100, rounded up
    assert first == [GAP, 1_189_117_199_392, 95_129_375_952]
    assert [one.args.instrument for one in house.world.evm.events()] == [BTC, ETH, SOL]
    house.accrue()
    assert house.world.evm.events() == []


def test_accrue__who_prices_the_past_is_the_rate_of_then(house: House, long: Holder) -> None:
    """A price that doubles changes what is owed from the next accrual on."""
    house.world.evm.warp(1_000)
    house.world.post({BTC: 100_000})
    elapsed = 1_001
    house.accrue(BTC)
    state = house.market(BTC)
    assert state.long_index == (RATE + GAP) * elapsed
    assert (state.rate, state.gap) == (2 * RATE, 2 * GAP - 1)
    house.world.evm.warp(100)
    house.accrue(BTC)
    assert house.market(BTC).long_index == (RATE + GAP) * elapsed + (2 * RATE + 2 * GAP - 1) * 100


def test_accrue__terms_change_what_comes_not_what_was(house: House, long: Holder) -> None:
    house.world.evm.warp(1_000)
    retune(house.world, BTC, funding_cap_ppm_per_day=1_000, gap_ppm_per_year=0)
    house.accrue(BTC)
    state = house.market(BTC)
    assert state.long_index == (RATE + GAP) * 1_000
    assert (state.rate, state.gap) == (578_703_703_703_703, 0)  # 0.1 % of 50,000 a day


@pytest.mark.parametrize("steps", [1, 2, 7, 60])
def test_accrue__how_often_changes_nothing(house: House, long: Holder, steps: int) -> None:
    """Exact: neither the indices nor the lines know how often somebody asked."""
    other = Holder(house, BTC)
    other.trade(-3)
    with house.world.evm.trial():
        house.world.evm.warp(4_200)
        house.accrue(BTC)
        once = house.market(BTC), house.lines
    for _ in range(steps):
        house.world.evm.warp(4_200 // steps)
        house.accrue(BTC)
    assert (house.market(BTC), house.lines) == once


def test_accrue__half_a_unit_of_the_gap_fee_stays_with_the_pool_each_time(house: House) -> None:
    """Half a BTC pays 7,927,447,995,941.5 a second; insurance gets whole units."""
    Holder(house, BTC).trade("0.5")
    before = house.lines
    with house.world.evm.trial():
        house.world.evm.warp(3)
        house.accrue(BTC)
        assert house.lines.insurance == before.insurance + 23_782_343_987_824
    for _ in range(3):
        house.world.evm.warp(1)
        house.accrue(BTC)
    assert house.lines.insurance == before.insurance + 23_782_343_987_823
    assert house.lines.pool == before.pool - 23_782_343_987_823


def test_accrue__twice_in_a_block_is_once(house: House, long: Holder) -> None:
    house.world.evm.warp(77)
    house.accrue(BTC)
    once = house.market(BTC), house.lines
    house.accrue(BTC)
    assert (house.market(BTC), house.lines) == once


def test_accrue__ten_years_of_silence_overflow_nothing(house: House, long: Holder) -> None:
    long.trade(56)  # 64 BTC: funding at its cap
    house.world.evm.warp(TEN_YEARS)
    house.accrue(BTC)  # at a price ten years old
    index = (CAP + GAP) * TEN_YEARS
    assert house.market(BTC).long_index == index
    house.world.repost()
    assert long.trade(-64).owed == 64 * (index + CAP + GAP)


def test_accrue__needs_a_listed_instrument_with_a_price(house: House) -> None:
    with house.refuses("instruments: unknown instrument"):
        house.accrue(BTC, 4)
    with house.refuses("instruments: unknown instrument"):
        house.accrue(0)
    world = house.world
    feed = (8, 1, 1_024, 120, 900, 5_000, 2_000, NO_SOURCE)
    world.hub.add_feed(feed, sender=world.governor)
    gaps = tuple(world.instruments.underlying_gaps(BTC))
    under = (4, 52_000, 1_500_000, 10**7, 50_000, 1, 550_000)
    world.instruments.add_underlying(under, gaps, sender=world.governor)
    world.instruments.add_instrument(
        (0, 4, 0, 28_800, 10_000, 2_000, 7_500, 0),
        (usd(100_000), 10_000, 200, 500, 10_000, 500),
        (usd(800), 40_000_000, 100, 3_500, 7_500, 4_000, 2_000, 1_000),
        sender=world.governor,
    )
    with house.refuses("oracle: no price"):
        house.accrue(4)


def test_indices__are_those_of_this_block(house: House, long: Holder) -> None:
    Holder(house, ETH).trade(-96, 2_500)
    before = house.market(BTC), house.market(ETH)
    house.world.evm.warp(60)
    seen = [house.markets.indices(one) for one in (BTC, ETH, SOL)]
    assert (house.market(BTC), house.market(ETH)) == before  # a view
    house.accrue(BTC, ETH, SOL)
    states = [house.market(one) for one in (BTC, ETH, SOL)]
    assert seen == [(one.long_index, one.short_index) for one in states]


# -- settling


def test_settle__moves_what_is_owed_and_nothing_twice(house: House, long: Holder) -> None:
    short = Holder(house, BTC)
    short.trade(-3)
    state = house.market(BTC)
    house.world.wait(1_000)
    before = house.lines
    rate, gap = state.rate, GAP
    assert rate == RATE * 5 // 8
    assert long.settle() == 8 * (rate + gap) * 1_000
    assert short.settle() == 3 * (gap - rate) * 1_000
    assert (long.settled, short.settled) == ((rate + gap) * 1_000, (gap - rate) * 1_000)
    funding = 5 * rate * 1_000  # what longs paid more than shorts got: the pool's
    assert house.lines.pool == before.pool + funding
    assert house.lines.insurance == before.insurance + 11 * gap * 1_000
    assert (long.settle(), short.settle()) == (0, 0)


def test_settle__rounds_up_and_gives_the_rest_to_insurance(house: House) -> None:
    payer, payee = Holder(house, BTC), Holder(house, BTC)
    retune(house.world, BTC, gap_ppm_per_year=0)
    payer.trade("8.000000000000000001")
    payee.trade("-3.000000000000000001")
    rate = house.market(BTC).rate
    house.world.wait(7)
    before = house.lines
    owed = payer.settle()
    assert owed == 8 * rate * 7 + 1  # 0.0076 of a unit, up
    assert house.lines.insurance == before.insurance + 1
    got = -payee.settle()
    assert got == 3 * rate * 7  # down
    assert house.lines.insurance == before.insurance + 2
    assert house.lines.pool == before.pool + (owed - 1) - (got + 1)


def test_settle__leaves_the_sums_and_nav_as_they_were(house: House, long: Holder) -> None:
    house.world.wait(1_000)
    house.accrue(BTC)
    before, sums = house.lines.nav, house.market(BTC)
    long.settle()
    after = house.market(BTC)
    assert house.lines.nav == before
    assert after.index_sum == sums.index_sum + 8 * sums.long_index == 8 * long.settled
    assert after.notional_sum == sums.notional_sum
    assert after.mark == 0


def test_settle__needs_a_fresh_and_tight_price(house: House, long: Holder) -> None:
    house.world.evm.warp(121)
    with house.refuses("oracle: stale price"):
        long.settle()
    house.world.post({BTC: 50_000}, confidence=5_001)
    with house.refuses("oracle: wide confidence"):
        long.settle()


# -- mark and NAV


def test_mark__is_what_the_pool_has_to_pay_at_this_price(house: House, long: Holder) -> None:
    """ΣN = 400,200; at 51,000 the longs are worth 408,000 and the premium back 204."""
    before = house.lines
    house.world.post({BTC: 51_000})
    house.accrue(BTC)
    state = house.market(BTC)
    owed = 8 * (RATE + GAP)  # a second has passed
    assert state.mark == usd(400_200) - usd(408_000) - usd(204) + owed
    assert house.lines.mark == state.mark
    assert house.lines.requirement == usd(21_216)  # 5.2 % of 408,000
    assert state.requirement == 21_216 * 10**6
    assert house.lines.nav == before.nav - usd(8_004) + 8 * RATE


def test_mark__of_the_shorts_side(house: House) -> None:
    """ΣN = −399,800; at 51,000 the shorts owe 8,000 more, and the premium back is 204."""
    Holder(house, BTC).trade(-8)
    before = house.lines
    house.world.post({BTC: 51_000})
    house.accrue(BTC)
    assert house.lines.nav == before.nav + usd(7_996) + 8 * RATE


def test_nav__moves_by_fees_alone_while_the_price_stands(house: House) -> None:
    """Whoever opens, turns and closes: what each trade leaves the pool is its part of the fee."""
    one, two = Holder(house, BTC), Holder(house, BTC)
    trades = [(one, "3"), (two, "-7.25"), (one, "-4.5"), (two, "9"), (one, "1.5"), (two, "-1.75")]
    for holder, size in trades:
        before = house.lines
        net = house.market(BTC).net
        held = holder.size
        done = holder.trade(size)
        maker = min(abs(done.delta), abs(net)) if done.delta * net < 0 else 0
        fee = (maker * 200 + (abs(done.delta) - maker) * 500) * 50_000 // 10**6
        assert house.lines.nav == before.nav + fee * 7 // 10
        opened = abs(done.delta) - (min(abs(held), abs(done.delta)) if held * done.delta < 0 else 0)
        assert done.fee == fee + -(-opened * 500 // 365)
    assert (one.size, two.size, house.lines.mark) == (0, 0, 0)


def test_requirement__is_kept_in_whole_micro_dollars(house: House) -> None:
    """5.2 % of 50,000.00000000000005, one micro-dollar above 2,600; and nothing of nothing."""
    holder = Holder(house, BTC)
    holder.trade("1.000000000000000001")
    assert house.market(BTC).requirement == 2_600 * 10**6 + 1
    assert house.lines.requirement == usd("2600.000001")
    holder.trade("-1.000000000000000001")
    assert house.market(BTC).requirement == house.lines.requirement == 0


def test_nav__of_several_instruments_is_one_sum(house: House, long: Holder) -> None:
    """Short 19.2 ETH of a depth of 96,000 for 47,995.2, and back at 2,400 for 46,075.392."""
    pool = house.lines.pool
    Holder(house, ETH).trade("-19.2", 2_500)
    assert house.lines.pool == pool + usd("16.8")
    assert house.lines.mark == 0
    house.world.post({ETH: 2_400})
    house.accrue(ETH)
    owed = 17_361_111_111_111 + 1_189_117_199_392  # funding and gap fee of a second
    assert house.lines.mark == house.market(ETH).mark == -usd("1919.808") + owed * 192 // 10
    assert house.lines.requirement == usd(20_800) + usd("2903.04")


# -- mark_all


@pytest.fixture
def open_everywhere(house: House) -> None:
    """A position in every instrument."""
    for instrument, price in PRICES.items():
        Holder(house, instrument).trade(10_000 / price, price)


def test_mark_all__brings_what_has_open_interest_up_to_now(house: House, long: Holder) -> None:
    Holder(house, ETH).trade(-96, 2_500)
    slot = house.world.wait(600)
    with house.world.evm.trial():
        house.accrue(BTC, ETH, SOL)
        expected = house.lines
    worth, required = house.markets.mark_all(slot, sender=house.sender)
    assert (worth, required) == (expected.nav, expected.requirement)
    assert house.lines == expected
    assert [one.args.instrument for one in house.world.evm.events()] == [BTC, ETH]


@pytest.mark.usefixtures("open_everywhere")
def test_mark_all__needs_every_price_at_or_after_the_moment_asked(house: House) -> None:
    slot = house.world.repost()
    house.markets.mark_all(slot, sender=house.sender)
    with house.refuses("market: price before request"):
        house.markets.mark_all(slot + 1, sender=house.sender)
    house.world.post({BTC: 50_000, ETH: 2_500})
    with house.refuses("market: price before request"):
        house.markets.mark_all(slot + 1, sender=house.sender)
    house.world.post({SOL: 100})
    house.markets.mark_all(slot + 1, sender=house.sender)


@pytest.mark.usefixtures("open_everywhere")
def test_mark_all__needs_fresh_prices_but_not_tight_ones(house: House) -> None:
    house.world.post({BTC: 50_000, ETH: 2_500, SOL: 100}, confidence=90_000)
    house.world.evm.warp(120)
    house.markets.mark_all(0, sender=house.sender)
    house.world.evm.warp(1)
    with house.refuses("oracle: stale price"):
        house.markets.mark_all(0, sender=house.sender)


def test_settle__only_the_clearinghouse_may(house: House) -> None:
    with refused("market: only clearinghouse"):
        house.markets.settle(BTC, usd(1), 0, sender=house.world.governor)
