"""Nobody stops others by what he controls: a token that refuses, an account that is no account."""

from __future__ import annotations

import pytest

from tests.support.refusals import refused
from tests.support.world import BTC, ETH, SOL, USD, World

REFUSING = 2  # manner of a token


@pytest.fixture(scope="module")
def frozen() -> World:
    """A settlement token that will refuse every transfer, with an account that has an order."""
    world = World(settlement="HostileToken")
    world.endow()
    return world


def test_d06_a_token_that_stops_moving_stops_no_order(frozen: World) -> None:
    """Orders commit, fill, cancel, and liquidations run: nothing of them moves a token."""
    with frozen.evm.trial():
        account = frozen.account("trader")
        frozen.deposit(account, 10_000)
        owner = frozen.owner(account)
        frozen.usdc.set_manner(REFUSING, sender=frozen.governor)
        order = frozen.order(account, BTC, "0.1")
        frozen.commit(order)
        frozen.orders.cancel(order.as_argument(), sender=owner)
        frozen.open_position(account, BTC, 2)
        frozen.open_position(account, BTC, "-0.5")
        frozen.post({BTC: 45_000})
        frozen.liquidator.liquidate(account, BTC, 2**255, sender=frozen.keeper)
        with refused("token: transfer failed"):
            frozen.clearinghouse.withdraw(account, USD, owner, sender=owner)
        # and once it moves again, what is free leaves
        frozen.usdc.set_manner(0, sender=frozen.governor)
        frozen.clearinghouse.withdraw(account, USD, owner, sender=owner)


def test_p07_pool_and_insurance_are_no_accounts(world: World) -> None:
    """They are lines of a ledger: who names their addresses as accounts finds nothing to touch."""
    before = world.markets.ledger(), world.pool.nav()
    houses = [one.address for one in (world.pool, world.clearinghouse, world.markets, world.vault)]
    for house in houses:
        account = world.account(house)
        assert world.liquidator.liquidatable(account) is False
        for instrument in (BTC, ETH, SOL):
            with refused("liquidation: not liquidatable"):
                world.liquidator.liquidate(account, instrument, 2**255, sender=world.keeper)
        world.liquidator.absorb(account, sender=world.keeper)
        with refused("debt: not for sale"):
            world.liquidator.repay_with_collateral(
                account, world.weth.address, USD, 0, sender=world.keeper
            )
        assert world.pool.mark(account, sender=world.keeper) == 0
    assert (world.markets.ledger(), world.pool.nav()) == before
