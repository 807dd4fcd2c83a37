"""Debt against collateral: its sale cannot be blocked, its ceilings cannot be walked around."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.attack.gang import NATIVE, gang
from tests.support.refusals import refused
from tests.support.world import BTC, ETH, USD, World


def debtor(world: World, usd: int, weth: Decimal | int) -> bytes:
    """An account without position, in debt against WETH at 2,500."""
    account = world.account("debtor")
    world.add_collateral(account, world.weth, weth)
    owner = world.owner(account)
    world.clearinghouse.withdraw(account, usd * USD, owner, sender=owner)
    return account


def buy(world: World, account: bytes, native: int, minimum: int = 0) -> int:
    """Someone pays native units of the debt; WETH that he gets for it."""
    world.mint(world.usdc, world.keeper, native, world.clearinghouse)
    return int(
        world.liquidator.repay_with_collateral(
            account, world.weth.address, native, minimum, sender=world.keeper
        )
    )


def test_l35_a_sale_of_debt_takes_what_is_owed_and_no_more(world: World) -> None:
    """The debtor pays a unit back just before the sale, which names the whole debt."""
    account = debtor(world, 50_000, 26)
    world.post({ETH: 2_200})
    whole = -(world.cash(account) // NATIVE)
    world.deposit(account, "0.000001")
    paid_before = world.usdc.balanceOf(world.clearinghouse.address)

    buy(world, account, whole)

    assert world.usdc.balanceOf(world.clearinghouse.address) == paid_before + whole - 1
    assert 0 <= world.cash(account) < NATIVE


@pytest.mark.parametrize("native", [2**255, 2**256 - 1, 10**30])
def test_l33_no_sentinel_buys_more_than_the_debt_is_worth(world: World, native: int) -> None:
    account = debtor(world, 50_000, 26)
    world.post({ETH: 2_200})
    whole = -(world.cash(account) // NATIVE)
    world.mint(world.usdc, world.keeper, whole, world.clearinghouse)
    got = world.liquidator.repay_with_collateral(
        account, world.weth.address, native, 0, sender=world.keeper
    )
    assert got <= whole * NATIVE * 10**18 * 100 // (97 * 2_200 * 10**18)
    assert 0 <= world.cash(account) < NATIVE


def test_l33_nobody_buys_of_a_healthy_debtor_below_the_threshold(world: World) -> None:
    account = debtor(world, 50_000, 26)
    with refused("debt: not for sale"):
        buy(world, account, 1)


def test_i02_a_fee_cannot_carry_debt_past_its_ceiling(world: World) -> None:
    """An execution fee is a withdrawal to whoever executes."""
    account = world.account("debtor")
    world.add_collateral(account, world.weth, 100)
    order = world.order(account, BTC, "0.01", execution_fee=150_000 * 10**18, acceptable=1)
    with refused("account: debt above its cap"):
        world.commit(order)


def test_i22_an_unrealised_gain_cannot_leave_by_any_door(world: World) -> None:
    """Withdrawal, move to another bucket, execution fee, collateral."""
    (trader,) = gang(world, "trader", 1, 10_000)
    world.open_position(trader, BTC, 1)
    owner = world.owner(trader)
    world.clearinghouse.withdraw(trader, 5_500 * USD, owner, sender=owner)
    world.post({BTC: 60_000})
    cash = world.cash(trader) // NATIVE
    assert world.assess(trader).equity_initial > 10_000 * 10**18
    other = world.account(owner, 1)
    with refused("account: gain not withdrawable"):
        world.clearinghouse.withdraw(trader, cash + USD, owner, sender=owner)
    with refused("account: gain not withdrawable"):
        world.clearinghouse.move_cash(trader, other, cash + USD, sender=owner)
    with refused("account: not enough margin"):
        fee = (cash + USD) * NATIVE
        world.commit(world.order(trader, BTC, -1, reduce_only=True, execution_fee=fee))
    world.clearinghouse.withdraw(trader, cash - USD, owner, sender=owner)
