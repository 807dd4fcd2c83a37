"""Markets, forced fills: spread, fee, penalty, the residual; SPEC 5.8, 8.4.

Two BTC closed by force at 50,000 cost 350 of spread, 20 of fee and 750 of penalty.
"""

from __future__ import annotations

import pytest

from tests.support.staffed import Holder, House, event, retune, usd
from tests.support.world import BTC

WINDOW = 7_200
PLENTY = 10**6


@pytest.fixture
def long(house: House) -> Holder:
    """8 BTC long, which cost 400,200."""
    holder = Holder(house, BTC)
    holder.trade(8)
    return holder


# -- force


def test_force__closes_at_the_spread_and_charges_fee_and_penalty(
    house: House, long: Holder
) -> None:
    before = house.lines
    done = long.force(-2, PLENTY)
    assert (done.delta, done.cost) == (-usd(2), -usd(99_650))  # 100,000 less 0.35 %
    assert (done.size, done.notional) == (usd(6), usd(300_150))
    # realised −400; fee 20 (it balances the pool), penalty 0.75 %, 40 % of it to the liquidator
    assert (done.fee, done.reward) == (usd(770), usd(300))
    assert done.cash == -usd(400) - usd(770)
    assert (done.owed, done.slot, done.feed) == (0, house.world.hub.latest_slot(BTC), 1)
    after = house.lines
    assert after.pool == before.pool + usd(400) + usd(14)
    assert after.insurance == before.insurance + usd(4) + usd(450)
    assert after.protocol == before.protocol + 2_000_000
    state = house.market(BTC)
    assert (state.long_interest, state.notional_sum) == (usd(6), usd(300_150))
    # NAV: the spread, its part of the fee, and 12.5 that the premium reserve needs no more
    assert after.nav == before.nav + usd(350) + usd(14) + usd("12.5")


def test_force__a_short_buys_back_above(house: House) -> None:
    short = Holder(house, BTC)
    short.trade(-8)
    before = house.lines
    done = short.force(2, PLENTY)
    assert done.cost == usd(100_350)
    assert (done.size, done.notional) == (-usd(6), -usd(299_850))
    assert done.cash == -usd(400) - usd(770)  # 99,950 received, 100,350 paid
    assert house.lines.nav == before.nav + usd("376.5")
    assert house.market(BTC).forced == usd(2)


def test_force__of_who_balanced_the_pool_pays_the_taker_fee(house: House, long: Holder) -> None:
    short = Holder(house, BTC)
    short.trade(-2)
    assert short.force(1, PLENTY).fee == usd(25) + usd(375)


def test_force__the_whole_position_at_another_price(house: House, long: Holder) -> None:
    house.world.post({BTC: 47_500})
    done = long.force(-8, PLENTY)
    assert done.cost == -usd(380_000) + usd(1_330)
    assert (done.size, done.notional, done.settled, done.crowding) == (0, 0, 0, 0)
    owed = 8 * (1_736_111_111_111_111 + 15_854_895_991_883)  # a second
    assert done.owed == owed
    assert done.cash == -usd(21_530) - owed - usd(76) - usd(2_850)
    state = house.market(BTC)
    assert (state.long_interest, state.notional_sum, state.index_sum) == (0, 0, 0)
    assert state.mark == 0  # flat: nothing to give back, whatever premium is still out


@pytest.mark.parametrize(
    ("equity", "fee", "penalty", "reward"),
    [
        ("1120", "20", "750", "300"),
        ("1119.999999999999999999", "20", "749.999999999999999999", "299.999999999999999999"),
        ("370.000000000000000004", "20", "0.000000000000000004", "0.000000000000000001"),
        ("370", "20", "0", "0"),
        ("369", "19", "0", "0"),
        ("350.000000000000000001", "0.000000000000000001", "0", "0"),
        ("350", "0", "0", "0"),
        ("-5000", "0", "0", "0"),
    ],
)
def test_force__fee_and_penalty_take_no_more_than_the_equity_left(
    house: House, long: Holder, equity: str, fee: str, penalty: str, reward: str
) -> None:
    before = house.lines
    done = long.force(-2, equity)
    assert (done.fee, done.reward) == (usd(fee) + usd(penalty), usd(reward))
    assert done.cost == -usd(99_650)  # the spread is paid out of whatever there is
    share = usd(fee) * 2_000 // 10_000
    assert house.lines.insurance == before.insurance + share + usd(penalty) - usd(reward)


def test_force__the_liquidators_share_is_the_terms(house: House, long: Holder) -> None:
    retune(house.world, BTC, liquidator_bps=10_000, premium_max_ppm=3_500, oi_cap_wad=usd(28))
    before = house.lines.insurance
    assert long.force(-1, PLENTY).reward == usd(375)
    assert house.lines.insurance == before + usd(2)
    retune(house.world, BTC, liquidator_bps=0)
    assert long.force(-1, PLENTY).reward == 0
    assert house.lines.insurance == before + usd(4) + usd(375)


def test_force__needs_a_fresh_price_but_not_a_tight_one(house: House, long: Holder) -> None:
    house.world.post({BTC: 50_000}, confidence=90_000)
    house.world.evm.warp(120)
    assert long.force(-1, PLENTY).size == usd(7)
    house.world.evm.warp(1)
    with house.refuses("oracle: stale price"):
        long.force(-1, PLENTY)


def test_force__works_where_trading_is_halted(house: House, long: Holder) -> None:
    house.world.instruments.set_status(BTC, 2, sender=house.world.governor)
    assert long.force(-8, PLENTY).size == 0


# -- the residual


def test_residual__premium_sees_a_forced_close_over_the_window(house: House, long: Holder) -> None:
    """Q is 6 at once, Q_p is 8 and falls to 6 in two hours."""
    rate = house.market(BTC).rate
    long.force(-2, PLENTY)
    state = house.market(BTC)
    assert (state.forced, state.forced_at) == (-usd(2), house.world.evm.timestamp)
    assert state.rate == rate  # of Q_p = 8 still
    for elapsed, premium_net in (
        (0, "8"),
        (1_800, "7.5"),
        (3_600, "7"),
        (7_199, None),
        (7_200, "6"),
    ):
        with house.world.evm.trial():
            if elapsed:
                house.world.wait(elapsed)
            told = Holder(house, BTC).trade(1)
            if premium_net is None:  # 2/7200 of a BTC is left, cut to whole units of size
                premium_net = "6.000277777777777778"
            extra = usd("3.125") + -(-50_000 * usd(premium_net) // 8_000)
            assert told.cost == usd(50_000) + extra


def test_residual__funding_follows_it(house: House, long: Holder) -> None:
    long.force(-2, PLENTY)
    house.world.evm.warp(WINDOW // 2)
    house.accrue(BTC)
    assert event(house.world, "MarketChanged").args.forced == -usd(1)
    assert house.market(BTC).rate == 1_519_097_222_222_222  # Q_p = 7
    assert house.market(BTC).forced == -usd(2)  # as it was when it was forced
    house.world.evm.warp(WINDOW // 2 + 1)
    house.accrue(BTC)
    assert event(house.world, "MarketChanged").args.forced == 0
    assert house.market(BTC).rate == 1_302_083_333_333_333  # Q_p = 6


def test_residual__gives_the_premium_reserve_back_as_it_goes(house: House, long: Holder) -> None:
    """Who closes 6 from Q_p = 8 gets 187.5 of premium, from Q_p = 6 only 112.5."""
    long.force(-2, PLENTY)
    assert house.market(BTC).mark == usd(300_150) - usd(300_000) - usd("187.5")
    with house.world.evm.trial():
        nav = house.lines.nav
        done = long.trade(-6)
        assert done.cost == -usd("300187.5")
        assert house.lines.nav == nav + usd(60) * 7 // 10  # and the fee is all that NAV sees
    house.world.wait(WINDOW)
    done = long.trade(-6)
    assert done.cost == -usd("300112.5")


def test_residual__a_second_forced_fill_joins_what_is_left_of_the_first(
    house: House, long: Holder
) -> None:
    long.force(-2, PLENTY)
    house.world.wait(WINDOW // 2)
    long.force(-3, PLENTY)
    state = house.market(BTC)
    assert (state.forced, state.forced_at) == (-usd(4), house.world.evm.timestamp)
    house.world.wait(WINDOW // 4)
    assert long.trade("-0.5").delta == -usd("0.5")
    assert event(house.world, "MarketChanged").args.forced == -usd(3)
    assert house.market(BTC).forced == -usd(4)


def test_residual__opposite_sides_cancel(house: House, long: Holder) -> None:
    short = Holder(house, BTC)
    short.trade(-5)
    long.force(-2, PLENTY)
    short.force(2, PLENTY)
    assert house.market(BTC).forced == 0


def test_residual__follows_the_window_in_force(house: House, long: Holder) -> None:
    long.force(-2, PLENTY)
    house.markets.set_safety(10**6, 0, 600, sender=house.world.governor)
    house.world.evm.warp(300)
    house.accrue(BTC)
    assert event(house.world, "MarketChanged").args.forced == -usd(1)
