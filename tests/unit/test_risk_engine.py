"""RiskEngine: what a book must hold, worked by hand; quotes, orders, relief, refusals; SPEC 7, 8.3.

One BTC at 50,000 loses 2,600 in the shock (5.2 %), provides 125 for funding and 2 for its own
liquidation: maintenance 2,727, plain initial 1.5 · 2,600 + 127 = 4,027. Ten ETH at 2,500 hold
1,575 + 64.5 and 2,427; a hundred SOL at 100 hold 1,050 + 52 and 1,627.
"""

from __future__ import annotations

from typing import Any

import pytest

from keeper.core.terms import decode
from tests.support.refusals import refused
from tests.support.staffed import event, retune, usd
from tests.support.world import BTC, ETH, SOL, World

HUGE = 2**256 - 1
ANY, RECENT, FRESH, TIGHT = range(4)
ISOLATED, CROSS = 1, 2

Position = tuple[int, int, int, int]  # instrument, size, notional, index at settlement


@pytest.fixture
def world(worked: World) -> World:
    return worked


def held(instrument: int, size: str | int, cost: str | int = 0, settled: int | None = None) -> Any:
    """A position; when nothing is said of its settlement it owes nothing."""
    return instrument, usd(size), usd(cost), settled


def requirement(
    world: World,
    *book: Any,
    mode: int = CROSS,
    level: int = ANY,
    feed: int = 0,
    price: int = 0,
) -> Any:
    settled: list[Position] = []
    for instrument, size, notional, index in book:
        now = world.markets.indices(instrument)[size < 0]
        settled.append((instrument, size, notional, now if index is None else now + index))
    return world.risk_engine.requirement(mode, settled, level, feed, price)


def second_btc(world: World) -> int:
    """Another instrument on BTC, with the terms of the first; its id."""
    terms = decode(*world.instruments.terms(BTC))
    risk = (0, 1, 0, terms.risk.period_seconds, 10_000, 2_000, 7_500, 0)
    fill = (terms.fill.depth_wad, terms.fill.premium_max_ppm, 200, 500, 10_000, 500)
    limit = (terms.limit.oi_cap_wad, 3_200_000, 100, 3_500, 7_500, 4_000, 2_000, 1_000)
    return int(world.instruments.add_instrument(risk, fill, limit, sender=world.governor))


# -- a book


@pytest.mark.parametrize(
    ("instrument", "size", "maintenance", "plain", "initial"),
    [
        (BTC, "1", "2727", "4027", "4037"),
        (BTC, "-1", "2727", "4027", "4037"),
        (BTC, "0.002", "7.45", "10.05", "10.07"),
        (ETH, "10", "1639.5", "2427", "2432"),
        (ETH, "-10", "1639.5", "2427", "2432"),
        (SOL, "-100", "1102", "1627", "1629"),
    ],
)
@pytest.mark.parametrize("mode", [ISOLATED, CROSS])
def test_requirement__of_one_position(
    world: World,
    instrument: int,
    size: str,
    maintenance: str,
    plain: str,
    initial: str,
    mode: int,
) -> None:
    asked = requirement(world, held(instrument, size), mode=mode)
    assert (asked.maintenance, asked.plain_initial, asked.initial) == (
        usd(maintenance),
        usd(plain),
        usd(initial),
    )


def test_requirement__of_several_is_their_sum(world: World) -> None:
    asked = requirement(world, held(BTC, 1), held(ETH, -10), held(SOL, 100))
    assert asked.maintenance == usd("5468.5")
    assert asked.plain_initial == usd(8_081)
    assert asked.initial == usd(8_098)


def test_requirement__of_two_instruments_on_one_underlying_offsets_nothing(world: World) -> None:
    asked = requirement(world, held(BTC, 1), held(second_btc(world), -1))
    assert asked.maintenance == usd(5_454)
    assert asked.plain_initial == usd(8_054)


def test_requirement__rounds_every_part_up(world: World) -> None:
    """One unit of 10^-18 BTC at 50,000.01: 2,600.00052, 125.000025 and 10.000002."""
    world.post({BTC: "50000.01"})
    for size in (1, -1):
        asked = world.risk_engine.requirement(
            CROSS, [(BTC, size, 0, world.markets.indices(BTC)[size < 0])], ANY, 0, 0
        )
        assert asked.maintenance == 2_601 + 126 + usd(2)
        assert asked.plain_initial == 3_902 + 126 + usd(2)  # 1.5 · 2,601, up
        assert asked.initial == asked.plain_initial + 11
        assert asked.upnl == (50_000 if size > 0 else -50_001)  # towards the account's loss


def test_requirement__of_nothing_is_nothing(world: World) -> None:
    world.evm.warp(10**6)  # and asks for no price
    for mode in (ISOLATED, CROSS):
        assert tuple(requirement(world, mode=mode, level=TIGHT)) == (0,) * 6


# -- gains and debts to the index


def test_upnl__counts_fully_to_stay_and_in_part_for_new_risk(world: World) -> None:
    asked = requirement(world, held(BTC, 1, 48_000))
    assert (asked.upnl, asked.upnl_initial) == (usd(2_000), usd(1_600))
    asked = requirement(world, held(BTC, 1, 52_000))
    assert (asked.upnl, asked.upnl_initial) == (-usd(2_000), -usd(2_000))
    asked = requirement(world, held(ETH, -10, -26_000))
    assert (asked.upnl, asked.upnl_initial) == (usd(1_000), usd(800))


def test_upnl__is_weighed_by_underlying(world: World) -> None:
    asked = requirement(world, held(BTC, 1, 52_000), held(ETH, -10, -28_000))
    assert (asked.upnl, asked.upnl_initial) == (usd(1_000), usd(-2_000 + 2_400))
    other = second_btc(world)
    asked = requirement(world, held(BTC, 1, 52_000), held(other, -1, -53_000))
    assert (asked.upnl, asked.upnl_initial) == (usd(1_000), usd(800))  # of what is left of it
    asked = requirement(world, held(BTC, 1, 53_000), held(other, -1, -52_000))
    assert (asked.upnl, asked.upnl_initial) == (-usd(1_000), -usd(1_000))


def test_upnl__weight_of_a_gain_rounds_down(world: World) -> None:
    gain = held(BTC, 1, "49999.999999999999999997")
    asked = requirement(world, gain)
    assert (asked.upnl, asked.upnl_initial) == (3, 2)  # 2.4
    world.risk_engine.set_margin_terms(0, 50_000, 100_000, sender=world.governor)
    assert requirement(world, gain).upnl_initial == 0
    world.risk_engine.set_margin_terms(10**6, 50_000, 100_000, sender=world.governor)
    assert requirement(world, gain).upnl_initial == 3


def test_owed__is_what_each_side_has_run_up_by_this_block(world: World) -> None:
    """The book is short of its index by so much a unit; a third of a unit is owed as a whole."""
    assert requirement(world, held(BTC, "1.5", 0, -1_000)).owed == 1_500
    assert requirement(world, held(BTC, "-1.5", 0, -1_000)).owed == 1_500
    assert requirement(world, held(BTC, "1.5", 0, -1)).owed == 2
    assert requirement(world, held(BTC, "1.5", 0, 1)).owed == -1  # and is paid down
    both = requirement(world, held(BTC, "1.5", 0, -1), held(ETH, "-1.5", 0, 1))
    assert both.owed == 1


def test_owed__grows_with_time_without_a_call(world: World) -> None:
    world.markets.accrue([BTC], sender=world.keeper)
    settled = world.markets.indices(BTC)[0]
    book = [(BTC, usd(2), 0, settled)]
    world.evm.warp(1_000)
    asked = world.risk_engine.requirement(CROSS, book, ANY, 0, 0)
    assert asked.owed == 2 * 15_854_895_991_883 * 1_000  # the gap fee; nobody trades


# -- concentration


def test_concentration__beyond_what_the_market_takes_at_once(world: World) -> None:
    """12.5 of 10 million: 5 % · 12.5 · 2.5 / 10."""
    at_once = requirement(world, held(BTC, 200))
    assert at_once.maintenance == usd(520_000 + 25_000 + 2)
    asked = requirement(world, held(BTC, -250))
    surcharge = usd(156_250)
    assert asked.maintenance == usd(650_000 + 31_250 + 2) + surcharge
    assert asked.plain_initial == usd(975_000 + 31_250 + 2) + surcharge


def test_concentration__starts_with_the_first_unit_too_many(world: World) -> None:
    """50,000 units of 10^-18 USD above ten million: 5 % of them and a rest."""
    edge = requirement(world, held(BTC, 200)).maintenance
    above = requirement(world, held(BTC, "200.000000000000000001")).maintenance
    assert above == edge + 2_600 + 125 + 2_501


def test_concentration__adds_up_the_instruments_of_an_underlying(world: World) -> None:
    both = requirement(world, held(BTC, 150), held(second_btc(world), -100))
    assert both.maintenance == usd(650_000 + 31_250 + 4) + usd(156_250)
    apart = requirement(world, held(BTC, 150), held(ETH, 2_000))  # 7.5 and 5 million
    assert apart.maintenance == usd(390_000 + 18_750 + 2) + usd(315_000 + 12_500 + 2)


# -- prices of a book


def test_requirement__at_another_price_of_one_feed(world: World) -> None:
    book = held(BTC, 1, 50_000), held(ETH, 10)
    asked = requirement(world, *book, feed=BTC, price=usd(40_000))
    assert asked.maintenance == usd(2_080 + 100 + 2) + usd("1639.5")
    assert asked.initial == usd(3_120 + 100 + 2 + 8) + usd(2_432)  # 0.02 % of 40,000
    assert asked.upnl == -usd(10_000) + usd(25_000)
    same = requirement(world, *book, feed=SOL, price=usd(1))
    assert same == requirement(world, *book)


@pytest.mark.parametrize(("level", "age"), [(RECENT, 900), (FRESH, 120), (TIGHT, 120)])
def test_requirement__asks_every_price_to_be_as_fresh_as_its_level(
    world: World, level: int, age: int
) -> None:
    book = held(BTC, 1), held(ETH, 1)
    world.evm.warp(age - 1)
    world.post({BTC: 50_000})
    requirement(world, *book, level=level)
    world.evm.warp(1)
    with refused("oracle: stale price"):
        requirement(world, *book, level=level)
    requirement(world, held(BTC, 1), level=level)
    requirement(world, *book, level=level - 1 if level == RECENT else RECENT)


def test_requirement__tight_refuses_an_uncertain_price(world: World) -> None:
    world.post({BTC: 50_000}, confidence=5_000)
    assert requirement(world, held(BTC, 1), level=TIGHT).initial == usd(4_027 + 250)
    world.post({BTC: 50_000}, confidence=5_001)
    with refused("oracle: wide confidence"):
        requirement(world, held(BTC, 1), level=TIGHT)
    assert requirement(world, held(BTC, 1), level=FRESH).initial == usd("4277.05")


# -- modes and refusals


def test_requirement__modes_that_there_are(world: World) -> None:
    for mode in (0, 4, HUGE):
        for book in ((), (held(BTC, 1),)):
            with refused("risk: mode not available"):
                requirement(world, *book, mode=mode)


def test_requirement__isolated_holds_one(world: World) -> None:
    with refused("risk: isolated holds one"):
        requirement(world, held(BTC, 1), held(ETH, 1), mode=ISOLATED)


def test_requirement__refuses_what_is_not_listed(world: World) -> None:
    for instrument in (0, 4, HUGE):
        with refused("instruments: unknown instrument"):
            requirement(world, held(instrument, 1))


@pytest.mark.parametrize(
    ("debt", "maintenance", "initial"),
    [(usd(1_000), usd(50), usd(100)), (1, 1, 1), (21, 2, 3), (0, 0, 0)],
)
def test_debt_requirement__rounds_up(
    world: World, debt: int, maintenance: int, initial: int
) -> None:
    assert world.risk_engine.debt_requirement(debt) == (maintenance, initial)


# -- one instrument


def test_quote__value_and_terms(world: World) -> None:
    asked = world.risk_engine.quote(BTC, TIGHT, 0, 0)
    assert (asked.index, asked.fair, asked.payoff, asked.fill_fair) == (usd(50_000),) * 4
    assert asked.slot == world.hub.latest_slot(BTC)
    words = asked.risk, asked.fill, asked.limit, asked.underlying
    assert words == tuple(world.instruments.trade_terms(BTC))
    other = world.risk_engine.quote(BTC, TIGHT, usd(51_000), 0)
    assert other == asked._replace(fill_fair=usd(51_000))
    for net in (0, usd(3), -usd(3)):
        about = (asked.risk, asked.underlying, net, asked.index)
        needed = world.risk_engine.pool_requirement(*about)
        assert world.risk_engine.quote(BTC, TIGHT, 0, net).requirement == needed
        assert (needed == 0) == (net == 0)


def test_mark__is_the_quote_without_limits(world: World) -> None:
    quoted = world.risk_engine.quote(BTC, FRESH, 0, usd(7))
    assert world.risk_engine.mark(BTC, FRESH, usd(7)) == quoted._replace(limit=0)
    world.evm.warp(121)
    with refused("oracle: stale price"):
        world.risk_engine.mark(BTC, FRESH, 0)


def test_quote__asks_for_its_level(world: World) -> None:
    world.post({BTC: 50_000}, confidence=5_001)
    with refused("oracle: wide confidence"):
        world.risk_engine.quote(BTC, TIGHT, 0, 0)
    world.evm.warp(121)
    with refused("oracle: stale price"):
        world.risk_engine.quote(BTC, FRESH, 0, 0)
    world.evm.warp(780)
    with refused("oracle: stale price"):
        world.risk_engine.quote(BTC, RECENT, 0, 0)
    assert world.risk_engine.quote(BTC, ANY, 0, 0).index == usd(50_000)
    with refused("instruments: unknown instrument"):
        world.risk_engine.quote(4, ANY, 0, 0)


@pytest.mark.parametrize(
    ("net", "required"),
    [("1", "2600"), ("-1", "2600"), ("0", "0"), ("200", "520000"), ("-250", "806250")],
)
def test_pool_requirement__scan_and_concentration_of_the_net(
    world: World, net: str, required: str
) -> None:
    risk, _, _, underlying = world.instruments.terms(BTC)
    asked = world.risk_engine.pool_requirement(risk, underlying, usd(net), usd(50_000))
    assert asked == usd(required)


def test_listed__counts_instruments(world: World) -> None:
    assert world.risk_engine.listed() == 3
    assert second_btc(world) == 4
    assert world.risk_engine.listed() == 4


# -- what an order reserves


def order_margin(
    world: World,
    size: str | int,
    *book: Any,
    instrument: int = BTC,
    buffer_ppm: int = 50_000,
    reducing: bool = False,
    mode: int = CROSS,
) -> Any:
    positions = [(one, amount, cost, settled or 0) for one, amount, cost, settled in book]
    return world.risk_engine.order_margin(
        mode, positions, instrument, usd(size), buffer_ppm, reducing
    )


def test_order_margin__of_a_new_position(world: World) -> None:
    """4,027 and 5 % of it, 25 of taker fee, a day of the gap fee."""
    for size in (1, -1):
        before, reserve, lapse, feed = order_margin(world, size)
        assert tuple(before) == (0,) * 6
        assert reserve == usd("4228.35") + usd(25) + usd("1.369863013698630137")
        assert (lapse, feed) == (usd(25), BTC)
    assert order_margin(world, 1, buffer_ppm=0)[1] == usd(4_052) + usd("1.369863013698630137")


def test_order_margin__of_more_of_it(world: World) -> None:
    before, reserve, *_ = order_margin(world, 1, held(BTC, 1, 48_000), buffer_ppm=0)
    assert before.plain_initial == usd(4_027)
    assert before.upnl_initial == usd(1_600)
    # the flat reserve is there already
    assert reserve == usd(4_025) + usd(25) + usd("1.369863013698630137")


def test_order_margin__of_a_flip_adds_what_it_ends_with(world: World) -> None:
    fees = usd("37.5") + usd("2.054794520547945206")
    assert order_margin(world, "-1.5", held(BTC, 1), buffer_ppm=0)[1] == fees
    fees = usd("62.5") + usd("3.424657534246575343")
    assert order_margin(world, "-2.5", held(BTC, 1), buffer_ppm=0)[1] == usd("2012.5") + fees


def test_order_margin__holds_the_lapse_charge_at_least(world: World) -> None:
    retune(world, BTC, lapse_ppm=20_000)
    _, reserve, lapse, _ = order_margin(world, "-1.5", held(BTC, 1), buffer_ppm=0)
    assert reserve == lapse == usd(1_500)
    retune(world, BTC, lapse_ppm=0)
    assert order_margin(world, 1)[2] == usd(25)  # never below the taker fee


def test_order_margin__of_a_reduction_is_its_lapse_charge_at_a_recent_price(world: World) -> None:
    world.evm.warp(121)
    _, reserve, lapse, _ = order_margin(world, -1, held(BTC, 1), reducing=True)
    assert reserve == lapse == usd(25)
    with refused("oracle: stale price"):
        order_margin(world, 1)
    world.evm.warp(780)
    with refused("oracle: stale price"):
        order_margin(world, -1, held(BTC, 1), reducing=True)


def test_order_margin__refuses_less_than_the_minimum(world: World) -> None:
    with refused("market: size below minimum"):
        order_margin(world, "0.001999999999999999")
    order_margin(world, "-0.002")


@pytest.mark.parametrize("status", [1, 2])
def test_order_margin__refuses_where_an_instrument_is_not_open(world: World, status: int) -> None:
    world.instruments.set_status(BTC, status, sender=world.governor)
    with refused("market: not open"):
        order_margin(world, 1)
    order_margin(world, -1, held(BTC, 1), reducing=True)


def test_order_margin__isolated_holds_one(world: World) -> None:
    with refused("risk: isolated holds one"):
        order_margin(world, 1, held(ETH, 1), mode=ISOLATED)
    order_margin(world, 1, held(BTC, 1), mode=ISOLATED)


def test_order_margin__a_book_of_sixteen_is_full(world: World) -> None:
    ids = [BTC, ETH, SOL, *(second_btc(world) for _ in range(14))]
    book = [held(one, 1) for one in ids[:16]]
    with refused("account: book is full"):
        order_margin(world, 1, *book, instrument=ids[16])
    order_margin(world, 1, *book, instrument=ids[15])
    order_margin(world, 1, *book[:15], instrument=ids[16])


def test_order_margin__needs_every_price_tight(world: World) -> None:
    world.evm.warp(119)
    world.post({BTC: 50_000})
    order_margin(world, 1, held(ETH, 1))
    world.evm.warp(1)
    with refused("oracle: stale price"):
        order_margin(world, 1, held(ETH, 1))


# -- what a liquidation relieves


def relief(world: World, instrument: int, *book: Any) -> Any:
    positions = [(one, amount, cost, settled or 0) for one, amount, cost, settled in book]
    return world.risk_engine.relief(positions, instrument)


@pytest.mark.parametrize(
    ("instrument", "size", "index", "rate", "cost"),
    [
        (BTC, 2, 50_000, 78_000_000_000 + 2_500_000_000, 11_500_000_000),
        (SOL, -30, 100, 157_500_000_000 + 5_000_000_000, 21_600_000_000),
    ],
)
def test_relief__rates_in_millionths_of_millionths(
    world: World, instrument: int, size: int, index: int, rate: int, cost: int
) -> None:
    found = relief(world, instrument, held(ETH, 1), held(instrument, size))
    assert tuple(found) == (usd(size), usd(index), rate, cost, usd(100))


def test_relief__a_third_of_the_funding_cap_rounds_down(world: World) -> None:
    retune(world, BTC, funding_cap_ppm_per_day=7_501)
    assert relief(world, BTC, held(BTC, 1)).rate == 80_500_333_333


def test_relief__of_a_concentrated_position_is_steeper(world: World) -> None:
    """12.5 of 10 million: 5 % · (25 − 10) / 10."""
    plain = relief(world, BTC, held(BTC, 200)).rate
    assert plain == 80_500_000_000
    assert relief(world, BTC, held(BTC, -250)).rate == plain + 75_000_000_000
    other = second_btc(world)
    both = held(BTC, 150), held(other, -100)
    assert relief(world, other, *both).rate == plain + 75_000_000_000
    assert relief(world, BTC, held(BTC, 150), held(ETH, 9_999)).rate == plain


def test_relief__needs_the_position_and_a_fresh_price(world: World) -> None:
    with refused("account: no such position"):
        relief(world, ETH, held(BTC, 1))
    with refused("account: no such position"):
        relief(world, BTC)
    world.evm.warp(121)
    with refused("oracle: stale price"):
        relief(world, BTC, held(BTC, 1))


# -- governor


@pytest.mark.parametrize(
    "figures", [(0, 10_000, 10_001), (10**6, 999_999, 10**6), (800_000, 50_000, 100_000)]
)
def test_set_margin_terms__at_their_bounds(world: World, figures: tuple[int, int, int]) -> None:
    world.risk_engine.set_margin_terms(*figures, sender=world.governor)
    assert tuple(world.risk_engine.margin_terms()) == figures
    assert event(world, "MarginTermsChanged").args == figures


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ((10**6 + 1, 50_000, 100_000), "risk: weight above one"),
        ((HUGE, 50_000, 100_000), "risk: weight above one"),
        ((0, 9_999, 100_000), "risk: debt margin out of range"),
        ((0, 100_000, 100_000), "risk: debt margin out of range"),
        ((0, 100_000, 10**6 + 1), "risk: debt margin out of range"),
        ((0, 100_000, HUGE), "risk: debt margin out of range"),
    ],
)
def test_set_margin_terms__refuses_what_is_out_of_range(
    world: World, figures: tuple[int, int, int], reason: str
) -> None:
    before = world.risk_engine.margin_terms()
    with refused(reason):
        world.risk_engine.set_margin_terms(*figures, sender=world.governor)
    with refused("ownable: caller is not the owner"):
        world.risk_engine.set_margin_terms(*before, sender=world.keeper)
    assert world.risk_engine.margin_terms() == before


def test_risk_engine__knows_where_it_reads(world: World) -> None:
    engine = world.risk_engine
    assert (engine.INSTRUMENTS(), engine.ORACLE_HUB(), engine.MARKETS(), engine.owner()) == (
        world.instruments.address,
        world.hub.address,
        world.markets.address,
        world.governor,
    )
