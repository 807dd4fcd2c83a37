"""I-43: from the state that any walk has led to, everybody can leave."""

from __future__ import annotations

import random

import pytest

from keeper.core.protocol import liquidity
from tests.stateful import scene
from tests.stateful.chooser import Chooser
from tests.stateful.laws import Laws
from tests.stateful.leaving import Exodus
from tests.stateful.walk import step

ACTS = 700


@pytest.mark.parametrize("walk", range(6))
def test_everybody_leaves(walk: int, walk_seed: int) -> None:
    """No position, no collateral, and less than a native unit of cash or shares each stays.

    Except what a pool line below zero is short of: winnings beyond all that the pool had.
    """
    rng = random.Random(walk_seed ^ (walk << 33))
    stage = scene.build(rng)
    chooser, laws = Chooser(stage, rng), Laws(stage.twin)
    chooser.queue.extend(scene.opening(stage, rng))
    for number in range(1, ACTS + 1):
        act = chooser.next()
        ended = step(stage, laws, act, number)
        chooser.happened(act, ended.refusal is not None)

    Exodus(stage).run()

    state = stage.twin.state
    left = [state.accounts[one].cash for one in stage.twin.accounts]
    assert min(left) >= 0
    assert sum(max(0, cash - 10**12) for cash in left) <= max(0, -state.lines.pool)
    assert not any(state.accounts[one].book for one in stage.twin.accounts)
    assert not any(state.collateral_total[place] for place in range(len(state.tokens)))
    for instrument in stage.twin.instruments:
        market = state.markets[instrument]
        assert market.long_interest == market.short_interest == 0
        assert market.notional_sum == market.index_sum == 0
        assert (market.mark, market.requirement) == (0, 0)
    assert state.lines.mark == state.lines.requirement == state.total_debt == 0
    shares = liquidity.value_of(state, state.supply, state.lines.nav)
    assert shares < len(stage.providers) * 10**12
    assert state.escrow == 0
