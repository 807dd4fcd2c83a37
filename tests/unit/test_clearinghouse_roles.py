"""Clearinghouse: who may call what, the governor, views; SPEC 1.3, 2.2, 2.7."""

from __future__ import annotations

from typing import Any

import pytest

from keeper.core.accounts import decode
from scripts import build
from tests.support.evm import Evm
from tests.support.refusals import refused
from tests.support.staffed import (
    NOBODY,
    account_of,
    event,
    fill,
    lines,
    refuses,
    tokens_add_up,
    usd,
)
from tests.support.world import BTC, ETH, SOL, USD, WORKED, World, fresh

A, B = b"\x01" * 32, b"\x02" * 32


@pytest.fixture
def world(staffed: World) -> World:
    return staffed


# -- companions


@pytest.mark.parametrize(
    ("companion", "act", "arguments"),
    [
        ("Orders", "hold", (A, BTC, usd(1), False, 0, 0)),
        ("Orders", "release", (A, 0, 0, 0, NOBODY)),
        ("Orders", "fill", (A, BTC, usd(1), usd(50_000), 0, 0, False, 0, 0, NOBODY)),
        ("Liquidator", "force_fill", (A, BTC, usd(1), 0, NOBODY)),
        ("Liquidator", "set_call", (A, True, 0)),
        ("Liquidator", "absorb", (A,)),
        ("Liquidator", "repay", (A, NOBODY, 1)),
        ("Vault", "set_collateral", (A, 1)),
        ("LiquidityPool", "mark_all", (0,)),
        ("LiquidityPool", "pool_fund", (1,)),
        ("LiquidityPool", "pool_release", (1,)),
    ],
)
def test_companions__nobody_else_may(companion: str, act: str, arguments: tuple[Any, ...]) -> None:
    with fresh("Orders", "Liquidator", market=WORKED) as world:
        others = [who for name, who in world.stand_ins.items() if name != companion]
        for stranger in (world.governor, world.keeper, *others):
            with refuses(world, "clearinghouse: wrong caller", A):
                getattr(world.clearinghouse, act)(*arguments, sender=stranger)


def test_companions__are_those_of_the_deployment(worked: World) -> None:
    house = worked.clearinghouse
    assert house.SETTLEMENT_TOKEN() == worked.usdc.address
    assert house.MARKETS() == worked.markets.address
    assert house.ORDERS() == worked.orders.address
    assert house.LIQUIDATOR() == worked.liquidator.address
    assert house.VAULT() == worked.vault.address
    assert house.POOL() == worked.pool.address
    assert house.risk_engine() == worked.risk_engine.address
    assert house.owner() == worked.governor
    assert house.SCALE() == 10**12


@pytest.mark.parametrize(("decimals", "scale"), [(0, 10**18), (18, 1)])
def test_deployment__scale_of_the_token(decimals: int, scale: int) -> None:
    evm = Evm()
    governor = evm.account("governor")
    arguments = "Coin", "COIN", decimals
    token = evm.deploy(build.artifact("TestToken", "cancun"), *arguments, sender=governor)
    artifact = build.artifact("Clearinghouse", "cancun")
    house = evm.deploy(artifact, governor, token.address, *[NOBODY] * 8, sender=governor)
    assert house.SCALE() == scale


def test_deployment__refuses_a_token_of_more_decimals_than_18() -> None:
    evm = Evm()
    governor = evm.account("governor")
    arguments = "Coin", "COIN", 19
    token = evm.deploy(build.artifact("TestToken", "cancun"), *arguments, sender=governor)
    with refused(""):
        artifact = build.artifact("Clearinghouse", "cancun")
        evm.deploy(artifact, governor, token.address, *[NOBODY] * 8, sender=governor)


# -- the pool's acts, in the place of the LiquidityPool


@pytest.fixture(scope="module")
def pool_world() -> World:
    """Without liquidity: whoever stands in for the pool brings it."""
    return World(market=WORKED, stand_ins=("LiquidityPool",))


def test_pool__funds_its_line_with_what_it_has_sent(pool_world: World) -> None:
    world = pool_world
    with world.evm.trial():
        pool = world.stand_ins["LiquidityPool"]
        world.usdc.mint(world.clearinghouse.address, 100 * USD, sender=pool)
        world.clearinghouse.pool_fund(100 * USD, sender=pool)
        assert lines(world).pool == usd(100)
        assert event(world, "LedgerChanged").args == (usd(100), 0, 0)
        assert tokens_add_up(world)
        world.clearinghouse.pool_release(60 * USD, sender=pool)
        assert lines(world).pool == usd(40)
        assert world.usdc.balanceOf(pool) == 60 * USD
        with refuses(world, "pool: not enough idle"):
            world.clearinghouse.pool_release(40 * USD + 1, sender=pool)
        world.clearinghouse.pool_release(40 * USD, sender=pool)


def test_pool__marks_all_instruments(pool_world: World) -> None:
    world = pool_world
    with world.evm.trial():
        pool = world.stand_ins["LiquidityPool"]
        world.clearinghouse.pool_fund(7, sender=pool)
        slot = world.repost()
        worth, required = world.clearinghouse.mark_all(slot, sender=pool)
        assert (worth, required) == (7 * 10**12, 0)


# -- governor


def test_announce_risk_engine__refusals(world: World) -> None:
    announce, engine = world.markets.announce_risk_engine, world.risk_engine.address
    with refused("ownable: caller is not the owner"):
        announce(engine, sender=world.keeper)
    for nothing in (NOBODY, world.wallet("wallet")):
        with refused("market: no code there"):
            announce(nothing, sender=world.governor)
    with refused("market: notice not over"):
        world.clearinghouse.adopt_risk_engine(sender=world.governor)
    announce(engine, sender=world.governor)
    world.evm.warp(6 * 86_400)
    announce(engine, sender=world.governor)  # the week begins anew
    world.evm.warp(2 * 86_400)
    with refused("market: notice not over"):
        world.clearinghouse.adopt_risk_engine(sender=world.governor)
    assert world.clearinghouse.risk_engine() == engine
    assert world.markets.safety()[0] == engine


def test_collect_protocol__sends_whole_native_units(world: World) -> None:
    """Two fees of 25 and 2.5: a tenth of them is the protocol's."""
    trader, treasury = world.account("trader"), world.wallet("treasury")
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    fill(world, trader, BTC, "0.1")
    before = lines(world)
    assert before.protocol == 2_750_000
    world.clearinghouse.collect_protocol(treasury, sender=world.governor)
    assert world.usdc.balanceOf(treasury) == 2_750_000
    after = lines(world)
    assert (after.pool, after.insurance, after.protocol) == (before.pool, before.insurance, 0)
    with refuses(world, "ownable: caller is not the owner"):
        world.clearinghouse.collect_protocol(treasury, sender=world.keeper)


# -- views


def test_assess__of_an_account_that_never_was(world: World) -> None:
    found = world.clearinghouse.assess(world.account("nobody-yet", 3), 3)
    assert found._replace(mode=0) == (0,) * 11 + (False, 0, 0)
    assert found.mode == 1


def test_assess__adds_up_cash_collateral_gains_and_debts(world: World) -> None:
    """1 BTC long for 50,003.125 and 10 ETH short for 24,998.69..., at 52,000 and 2,400."""
    trader = world.account("trader")
    world.deposit(trader, 10_000)
    world.add_collateral(trader, world.weth, 2)
    fill(world, trader, BTC, 1)
    fill(world, trader, ETH, -10)
    cost = usd("24998.697916666666666666")  # 25,000 less 2,500 · 100 / 192,000
    assert world.clearinghouse.position(trader, ETH)[1] == -cost
    world.post({BTC: 52_000, ETH: 2_400})
    cash = account_of(world, trader).cash
    found = world.assess(trader)
    btc, eth = usd("1996.875"), cost - usd(24_000)
    weth = usd(4_224)  # 2 · 2,400 less 12 %
    owed = 217_013_888_888_888 + 15_854_895_991_883
    owed += 10 * (9_042_245_370_370 + 1_189_117_199_392)
    assert found.owed == owed
    assert found.equity == cash - owed + btc + eth + weth
    assert found.equity_initial == cash - owed + btc * 8 // 10 + eth * 8 // 10 + weth
    # 2,704 + 130 + 2 and 1,512 + 60 + 2; 4,056 and 2,268 for the shocks; 10.4 and 4.8
    assert found.maintenance == usd(2_836) + usd(1_574)
    assert found.plain_initial == usd(4_188) + usd(2_330)
    assert found.initial == found.plain_initial + usd("15.2")
    assert (found.cash, found.reserved, found.count) == (cash, 0, 2)
    assert (found.collateral, found.collateral_initial) == (weth, weth)
    assert (found.mode, found.called, found.deadline) == (2, False, 0)


def test_assess__asks_for_the_level_named(world: World) -> None:
    trader = world.account("trader")
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    world.evm.warp(121)
    with refused("oracle: stale price"):
        world.clearinghouse.assess(trader, 2)
    world.clearinghouse.assess(trader, 1)
    world.evm.warp(10**7)
    world.clearinghouse.assess(trader, 0)
    with refused("oracle: stale price"):
        world.clearinghouse.assess(trader, 1)


def test_positions__in_the_order_of_opening(world: World) -> None:
    trader = world.account("trader")
    world.deposit(trader, 20_000)
    for instrument, size in ((SOL, 10), (BTC, "-0.1"), (ETH, 2)):
        fill(world, trader, instrument, size)
    book = world.clearinghouse.positions(trader)
    assert [(one.instrument, one.size) for one in book] == [
        (SOL, usd(10)),
        (BTC, -usd("0.1")),
        (ETH, usd(2)),
    ]
    for one in book:
        assert world.clearinghouse.position(trader, one.instrument) == tuple(one)[1:]
    record = decode(*world.clearinghouse.account_word(trader))
    assert record.book == (SOL, BTC, ETH)
    assert world.clearinghouse.positions(world.account("other")) == ()
    assert world.clearinghouse.position(trader, 99) == (0, 0, 0)


def test_require_free__answers_true_or_refuses(world: World) -> None:
    trader = world.account("trader")
    assert world.clearinghouse.require_free(trader) is True
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    assert world.clearinghouse.require_free(trader) is True
    world.post({BTC: 40_000})
    with refused("account: below initial margin"):
        world.clearinghouse.require_free(trader)
