"""Portfolio margin of futures: netting, offset, modes, liquidation; docs/OPTIONS.md O.6, O.7.

One BTC at 50,000 loses 2,600 in the shock, ten ETH at 2,500 lose 1,575. Both are of a cluster with
a correlation of at least 55 %: φ = 1 − sqrt(0.225) = 0.52566 of the smaller side offsets twice.
"""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from keeper.core import margin, scan
from keeper.core.margin import Held
from keeper.core.quotes import decode_quote
from keeper.core.terms import decode
from keeper.core.types import InstrumentId, Mode
from keeper.core.units import PPM, WAD
from tests.support.refusals import refused
from tests.support.staffed import usd
from tests.support.world import BTC, ETH, SOL, World

ANY, RECENT, FRESH, TIGHT = range(4)
ISOLATED, CROSS, PORTFOLIO = 1, 2, 3
ALL = 2**255
OFFSET = 2 * scan.phi(550_000) * usd(1_575) // WAD


@pytest.fixture
def world(worked: World) -> World:
    return worked


def requirement(world: World, sizes: dict[int, int], mode: int, level: int = FRESH) -> Any:
    book = [
        (one, size, 0, world.markets.indices(one)[size < 0]) for one, size in sizes.items() if size
    ]
    return world.risk_engine.requirement(mode, book, level, 0, 0)


def modelled(world: World, sizes: dict[int, int], level: int = FRESH) -> margin.Requirement:
    quotes = {one: decode_quote(world.hub.price(one, ANY)) for one in (BTC, ETH, SOL)}
    return margin.requirement(
        Mode.PORTFOLIO,
        [Held(InstrumentId(one), size, 0) for one, size in sizes.items() if size],
        lambda instrument: decode(*world.instruments.terms(instrument)),
        lambda feed: quotes[feed],
        world.risk_engine.margin_terms().upnl_ppm,
        level == RECENT,
    )


def trader(world: World, cash: int, bucket: int = 0) -> bytes:
    account = world.account(world.wallet("trader"), bucket)
    world.deposit(account, cash)
    return account


def set_mode(world: World, account: bytes, mode: int) -> None:
    world.clearinghouse.set_mode(account, mode, sender=world.owner(account))


# requirement


def test_requirement__of_a_hedged_pair_by_hand(world: World) -> None:
    """2,600 + 1,575 less 2φ·1,575 = 2,519.18; provision 125 + 62.5 and reserves as in cross."""
    sizes = {BTC: WAD, ETH: -10 * WAD}
    cross, portfolio = (requirement(world, sizes, mode) for mode in (CROSS, PORTFOLIO))
    assert cross.maintenance - portfolio.maintenance == OFFSET
    assert round(Decimal(OFFSET) / WAD, 2) == Decimal("1655.82")
    assert cross.plain_initial - portfolio.plain_initial == OFFSET * 3 // 2
    assert cross.initial - portfolio.initial == OFFSET * 3 // 2
    assert portfolio.upnl == cross.upnl


def test_requirement__both_long_offset_nothing(world: World) -> None:
    sizes = {BTC: WAD, ETH: 10 * WAD}
    assert requirement(world, sizes, PORTFOLIO) == requirement(world, sizes, CROSS)


def test_requirement__nets_instruments_of_one_underlying(world: World) -> None:
    """Long one BTC and short another instrument on it: what is left is what no price moves."""
    terms = decode(*world.instruments.terms(BTC))
    risk = (0, 1, 0, terms.risk.period_seconds, 10_000, 2_000, 7_500, 0)
    fill = (terms.fill.depth_wad, terms.fill.premium_max_ppm, 200, 500, 10_000, 500)
    limit = (terms.limit.oi_cap_wad, 3_200_000, 100, 3_500, 7_500, 4_000, 2_000, 1_000)
    other = int(world.instruments.add_instrument(risk, fill, limit, sender=world.governor))
    sizes = {BTC: WAD, other: -WAD}
    asked = requirement(world, sizes, PORTFOLIO)
    assert asked.maintenance == asked.plain_initial == 2 * usd(127)
    sizes[other] = -WAD // 2
    assert requirement(world, sizes, PORTFOLIO).maintenance == usd(1_300) + usd("191.5")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [ANY, RECENT, FRESH, TIGHT])
def test_requirement__equals_the_model_for_random_books(
    world: World, seed: int, level: int
) -> None:
    rng = random.Random(seed)
    for _ in range(30):
        scale = 10 ** rng.randrange(10, 24)
        sizes = {one: rng.randrange(-scale, scale) for one in (BTC, ETH, SOL)}
        asked, expected = requirement(world, sizes, PORTFOLIO, level), modelled(world, sizes, level)
        assert asked.maintenance == expected.maintenance
        assert asked.plain_initial == expected.plain_initial
        assert asked.initial == expected.initial
        assert expected.maintenance <= requirement(world, sizes, CROSS, level).maintenance


def test_requirement__prices_that_may_be_stale_offset_no_new_risk(world: World) -> None:
    sizes = {BTC: WAD, ETH: -10 * WAD}
    recent, fresh = (requirement(world, sizes, PORTFOLIO, level) for level in (RECENT, FRESH))
    assert recent.maintenance == fresh.maintenance
    assert recent.plain_initial == fresh.plain_initial
    assert recent.initial == fresh.initial + OFFSET * 3 // 2
    assert recent.initial == requirement(world, sizes, CROSS, RECENT).initial


# modes


def test_set_mode__a_hedge_that_cross_does_not_carry_stays_in_portfolio(world: World) -> None:
    """Free to enter, and guarded on the way back: both sides at initial margin."""
    account = trader(world, 5_500)
    set_mode(world, account, PORTFOLIO)
    world.open_position(account, BTC, 1)
    world.open_position(account, ETH, -10)
    found = world.assess(account)
    assert (found.mode, found.equity > found.initial) == (PORTFOLIO, True)
    with refused("account: below initial margin"):
        set_mode(world, account, CROSS)
    with refused("risk: isolated holds one"):
        set_mode(world, account, ISOLATED)
    world.deposit(account, 2_000)
    set_mode(world, account, CROSS)
    set_mode(world, account, PORTFOLIO)


def test_set_mode__unknown__refused(world: World) -> None:
    account = trader(world, 10)
    for mode in (0, 4, 2**256 - 1):
        with refused("risk: mode not available"):
            set_mode(world, account, mode)


# liquidation


def hedged(world: World, cash: int = 5_000, size: str = "1", hedge: int = -10) -> bytes:
    account = trader(world, cash)
    set_mode(world, account, PORTFOLIO)
    world.open_position(account, BTC, size)
    world.open_position(account, ETH, hedge)
    return account


def fallen_below(world: World, account: bytes, share: str) -> None:
    """BTC falls until equity is this share of maintenance or less, and the grace has passed."""
    price = world.price(BTC)
    while True:
        found = world.assess(account)
        if found.equity * PPM <= int(Decimal(share) * PPM) * found.maintenance:
            break
        price -= 5
        world.post({BTC: price, ETH: world.price(ETH), SOL: world.price(SOL)})
    world.liquidator.call(account, sender=world.keeper)
    world.wait(world.terms.calls.grace_cross_seconds)


def test_liquidate__a_hedge_stays_above_the_hard_level(world: World) -> None:
    """Closing the smaller side would add risk: refused. The larger goes, h rises, and plain
    initial margin is not passed."""
    account = hedged(world)
    fallen_below(world, account, "0.97")
    before = world.assess(account)
    assert before.equity * PPM > 800_000 * before.maintenance
    assert world.liquidator.liquidatable(account)
    with refused("liquidation: health would fall"):
        world.liquidator.liquidate(account, ETH, ALL, sender=world.keeper)
    foreseen = world.lens.preview_liquidation(account, ETH)
    assert foreseen.refusal == "liquidation: health would fall"
    world.liquidator.liquidate(account, BTC, ALL, sender=world.keeper)
    after = world.assess(account)
    assert after.equity * before.maintenance > before.equity * after.maintenance
    assert after.equity <= after.plain_initial
    assert 0 < world.size(account, BTC) < WAD
    assert world.size(account, ETH) == -10 * WAD


def test_liquidate__below_the_hard_level_no_hedge_keeps_an_account_open(world: World) -> None:
    """Two sides of one size: either close adds risk for a while, and still both go."""
    account = hedged(world, 4_500, "1", -16)
    fallen_below(world, account, "0.79")
    for _ in range(40):
        if not world.liquidator.liquidatable(account):
            break
        held = [one for one in (ETH, BTC) if world.size(account, one)]
        world.liquidator.liquidate(account, held[0], ALL, sender=world.keeper)
    assert not world.liquidator.liquidatable(account)
