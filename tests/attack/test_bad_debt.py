"""Nobody makes a deficit on purpose that insurance or the pool then pays."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.attack.gang import close, gang, hedged_pairs, lines, worth
from tests.support.world import BTC, World


@pytest.mark.parametrize("rise", ["1.075", "1.077", "1.079"])
def test_x07_closing_one_leg_by_premium_leaves_no_deficit(world: World, rise: str) -> None:
    """Closes of one side push the premium to open interest / depth, past their margin."""
    shorts, longs = hedged_pairs(world)
    brought = worth(world, shorts + longs)
    insurance = lines(world).insurance
    world.post({BTC: world.price(BTC) * Decimal(rise)})

    assert 2 in close(world, shorts, BTC), "no premium was beyond a margin: nothing was tried"
    close(world, longs[::-1], BTC)

    assert all(world.cash(account) >= 0 for account in shorts + longs)
    assert lines(world).insurance >= insurance
    assert worth(world, shorts + longs) < brought


def test_x07_a_close_may_use_up_all_cash_and_not_more(world: World) -> None:
    (trader,) = gang(world, "trader", 1, 10_000)
    world.open_position(trader, BTC, 1)
    margin = Decimal(world.assess(trader).equity) / 10**18
    order = world.order(trader, BTC, -1, reduce_only=True)
    world.commit(order)
    # the fee is 8 USD, of which the premium that it opened with pays 0.2
    for spare, status in (("7.5", 2), ("8.5", 0)):
        with world.evm.trial():
            slot = world.due_slot(order, 50_000 - margin + Decimal(spare))
            assert world.execute(order, slot) == status
            assert world.size(trader, BTC) == (0 if status == 0 else 10**18)
            assert status == 2 or 0 <= world.cash(trader) < 10**18
