"""Collateral: what it counts for cannot be turned against those who hold it."""

from __future__ import annotations

import pytest

from tests.support.refusals import refused
from tests.support.world import BTC, USD, World

WAD = 10**18
DAY = 86_400


def debtor(world: World, usd: int, weth: int) -> bytes:
    """An account without position, in debt against WETH at 2,500."""
    account = world.account("debtor")
    world.add_collateral(account, world.weth, weth)
    owner = world.owner(account)
    world.clearinghouse.withdraw(account, usd * USD, owner, sender=owner)
    return account


@pytest.mark.parametrize("discount_ppm", [30_000, 90_000, 90_001, 200_000])
def test_l34_no_sale_of_debt_lowers_the_equity_of_whom_it_sells(
    world: World, discount_ppm: int
) -> None:
    """A governor who makes sales cheaper than the haircut would let buyers liquidate a healthy
    account by paying its debt: the setter refuses."""
    account = debtor(world, 80_000, 50)
    world.vault.set_haircut(world.weth.address, 90_000, sender=world.governor)
    world.wait(DAY)
    if discount_ppm > 90_000:
        with refused("vault: discount above haircut"):
            world.vault.set_sale_discount(discount_ppm, sender=world.governor)
        return
    world.vault.set_sale_discount(discount_ppm, sender=world.governor)
    world.ripen_debt(account)
    before = world.assess(account)
    world.mint(world.usdc, world.keeper, 60_000 * USD, world.clearinghouse)
    world.liquidator.repay_with_collateral(
        account, world.weth.address, 60_000 * USD, 0, sender=world.keeper
    )
    after = world.assess(account)
    assert after.equity >= before.equity
    assert after.equity - after.maintenance > before.equity - before.maintenance


def test_m25_a_strangers_deposit_stops_new_risk_and_liquidates_nobody(world: World) -> None:
    """A whale fills the token's cap: only what is new is asked more."""
    victim, whale = world.account("victim"), world.account("whale")
    world.vault.set_slope(world.weth.address, 400_000, sender=world.governor)
    world.deposit(victim, 500)
    world.add_collateral(victim, world.weth, 2)
    world.open_position(victim, BTC, "0.5")
    before = world.assess(victim)
    line = world.liquidator.call_line(before.maintenance, before.plain_initial)

    world.add_collateral(whale, world.weth, 4_900)  # of a cap of 5,000

    after = world.assess(victim)
    assert after.equity == before.equity
    assert (after.maintenance, after.plain_initial) == (before.maintenance, before.plain_initial)
    assert line == world.liquidator.call_line(after.maintenance, after.plain_initial)
    assert after.equity_initial < before.equity_initial - 1_900 * WAD
    assert not world.liquidator.liquidatable(victim)
    with refused("liquidation: not liquidatable"):
        world.liquidator.liquidate(victim, BTC, 2**256 - 1, sender=world.owner(whale))
    with refused("account: not enough margin"):
        world.commit(world.order(victim, BTC, "0.3"))
    world.open_position(victim, BTC, "-0.5")  # out is open


def test_m25_a_higher_haircut_liquidates_by_its_ramp_alone(world: World) -> None:
    """The governor says 60 points more: for a day that takes five from anybody's maintenance."""
    victim = world.account("victim")
    world.deposit(victim, 500)  # out of debt: interest would be in the comparison
    world.add_collateral(victim, world.weth, 4)
    world.open_position(victim, BTC, "0.5")
    before = world.assess(victim)
    world.vault.set_haircut(world.weth.address, 720_000, sender=world.governor)
    assert world.assess(victim).equity == before.equity
    assert world.assess(victim).equity_initial <= before.equity_initial - 6_000 * WAD
    assert not world.liquidator.liquidatable(victim)
    world.wait(DAY)
    fallen = before.equity - world.assess(victim).equity
    funding = world.assess(victim).owed
    assert abs(fallen - 4 * 2_500 * WAD * 5 // 100 - funding) <= 2
