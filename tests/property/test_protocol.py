"""Laws of the whole protocol at a still price: nobody gains, nothing is made, shares are fair.

They are shown on the model; tests/stateful shows that the bytecode is the model.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.protocol import checks, clearing
from keeper.core.protocol.liquidity import VIRTUAL
from keeper.core.protocol.orders import Ending
from keeper.core.protocol.state import SETTLEMENT
from keeper.core.types import Address, InstrumentId, Level, Refused, account_id
from keeper.core.units import WAD
from tests.property.house import ETH, KEEPER, PRICE, USD, House

FEW = settings(max_examples=60)
OWNER, OTHER, PROVIDER, LATER = (Address(bytes([one]) * 20) for one in (1, 2, 3, 4))
sizes = st.integers(10**8, 40 * 10**9).map(lambda size: size * 10**9)  # 0.1 to 40 units
sides = st.sampled_from((1, -1))


@pytest.fixture
def house() -> House:
    return built()


def built() -> House:
    """A pool of 10 M, insurance of 100 k, two owners with 100 k in each of three buckets."""
    house = House()
    house.fund_pool(PROVIDER, 10_000_000)
    house.endow(KEEPER, 100_000)
    house.protocol.fund_insurance(KEEPER, 100_000 * USD)
    for owner in (OWNER, OTHER):
        house.endow(owner, 400_000)
        for bucket in range(3):
            house.protocol.deposit(owner, account_id(owner, bucket), 100_000 * USD)
    return house


def wealth(house: House, owner: Address) -> int:
    """WAD of an owner's wallet and all his equity."""
    worth = house.state.wallets[SETTLEMENT, owner] * 10**12
    for bucket in range(3):
        worth += clearing.assess(house.state, account_id(owner, bucket), Level.ANY).equity
    return worth


def nav(house: House) -> int:
    house.protocol.accrue((ETH,))
    return house.state.lines.nav


@FEW
@given(st.lists(st.tuples(st.integers(0, 2), sizes, sides), min_size=1, max_size=12))
def test_no_sequence_of_trades_gains_at_a_still_price(
    trades: list[tuple[int, int, int]],
) -> None:
    """I-23, I-24: whatever one owner does over his buckets, premium paid comes back at most.

    Seconds pass between trades, so a little funding may flow to the owner: no more than the
    highest rate gives on the largest size.
    """
    house = built()
    before = wealth(house, OWNER)
    started = house.state.now
    largest = 0
    for bucket, size, side in trades:
        account = account_id(OWNER, bucket)
        try:
            house.trade(account, side * size)
        except Refused:
            continue
        largest = max(largest, abs(house.state.markets[ETH].net))
    for bucket in range(3):
        account = account_id(OWNER, bucket)
        held = house.state.positions[account, ETH].size
        if held:
            assert house.trade(account, -held) is Ending.FILLED
    elapsed = house.state.now - started
    funding = largest * 3 * elapsed * 3_000 * 7_500 // (10**6 * 86_400) + 10**3
    assert wealth(house, OWNER) <= before + funding
    checks.ledger(house.state)
    checks.sums(house.state)
    checks.claims(house.state)


@FEW
@given(sizes, sides, sizes, sides)
def test_a_fill_moves_nav_by_its_fees_alone(
    first: int, side: int, second: int, other_side: int
) -> None:
    """I-35: the premium that a trade pays is held back, so that the next one cannot take it."""
    house = built()
    for owner, size in ((OWNER, side * first), (OTHER, other_side * second)):
        account = account_id(owner, 0)
        before, lines = nav(house), house.state.lines
        try:
            ending = house.trade(account, size)
        except Refused:
            return
        after = house.state.lines
        # what the pool got: fees less what insurance and protocol took of them, and seconds of
        # funding on at most 80 units
        fees = 80 * 3_000 * WAD * 500 // 10**6 + 10**15
        assert -(10**15) <= nav(house) - before <= fees
        assert after.insurance >= lines.insurance
        assert after.protocol >= lines.protocol
        if ending is Ending.FILLED:
            checks.claims(house.state)


@FEW
@given(st.integers(1, 5 * 10**12), sizes, sides)
def test_entering_and_leaving_takes_nothing_from_other_shares(
    assets: int, size: int, side: int
) -> None:
    """I-34: the price of a share does not fall by an entry or an exit."""
    house = built()
    house.trade(account_id(OWNER, 0), side * size)
    house.endow(LATER, assets // USD + 1)

    def share_price() -> tuple[int, int]:
        return nav(house) + VIRTUAL, house.state.supply + VIRTUAL

    def not_below(later: tuple[int, int], earlier: tuple[int, int]) -> bool:
        # time and its funding move NAV too: a cent for each of the seconds between
        return later[0] * earlier[1] + 200 * WAD // 100 * earlier[1] >= earlier[0] * later[1]

    before = share_price()
    house.protocol.request_deposit(LATER, assets, LATER, LATER, 0)
    house.state.now += 60
    house.post()
    house.protocol.execute_requests((LATER,), ())
    entered = share_price()
    assert not_below(entered, before)
    shares = house.protocol.claim_deposit(LATER, assets, LATER, LATER)
    house.protocol.request_redeem(LATER, shares, LATER, LATER, 0)
    house.state.now += 60
    house.post()
    _, released = house.protocol.execute_requests((), (LATER,))
    assert not_below(share_price(), entered)
    assert released <= assets + 2 * USD  # its part of two minutes of fees at most
    checks.ledger(house.state)


def test_a_donation_changes_nothing_but_dust(house: House) -> None:
    """I-07."""
    before = (house.state.lines, house.state.supply, house.state.escrow)
    house.endow(OTHER, 5)
    house.protocol.donate(OTHER, 5 * USD)
    assert (house.state.lines, house.state.supply, house.state.escrow) == before
    assert house.state.dust == 5 * USD
    checks.ledger(house.state)


def test_a_refused_act_leaves_no_trace(house: House) -> None:
    """Fills, credits and releases before the refusal are taken back."""
    account = account_id(OWNER, 0)
    house.trade(account, 10 * WAD)
    before = (
        dict(house.state.accounts.items()),
        dict(house.state.positions.items()),
        dict(house.state.markets.items()),
        house.state.lines,
        house.state.total_debt,
    )
    with pytest.raises(Refused, match="account: below initial margin"):
        house.protocol.withdraw(OWNER, account, 99_000 * USD, OWNER)
    with pytest.raises(Refused, match="instruments: unknown instrument"):
        house.protocol.accrue((ETH, InstrumentId(9)))
    assert before == (
        dict(house.state.accounts.items()),
        dict(house.state.positions.items()),
        dict(house.state.markets.items()),
        house.state.lines,
        house.state.total_debt,
    )


def test_worked_crash(house: House) -> None:
    """Long 100 at 3,000 on 100,000 of cash: a fall to 2,160 costs 84,000 and then some.

    Maintenance is then 15 % of 216,000 and add-ons, equity below half of it: all is closed at
    2,160 less 0.5 %, the penalty takes 0.9 % of 216,000 and nobody else pays.
    """
    account = account_id(OWNER, 0)
    assert house.trade(account, 100 * WAD) is Ending.FILLED
    for price in (2_600, 2_160):
        house.post(price * 10**8)
    assessed = clearing.assess(house.state, account, Level.FRESH)
    assert 0 < assessed.equity * 2 < assessed.maintenance
    insurance = house.state.lines.insurance
    done = house.protocol.liquidate(OTHER, account, ETH, 2**255)
    assert done.size == 100 * WAD
    penalty = 216_000 * WAD * 9 // 1_000
    assert done.reward == penalty // 2
    assert house.state.lines.insurance - insurance > penalty - done.reward
    assert house.state.accounts[account].cash > 0
    checks.ledger(house.state)
    checks.sums(house.state)


def test_worked_deficit(house: House) -> None:
    """The same position falls to 1,500 at once: 50,000 are missing, of which insurance pays 1,000
    and the pool the rest, out of the 150,000 that it has won."""
    account = account_id(OWNER, 0)
    house.trade(account, 100 * WAD)
    house.post(PRICE // 2)
    house.protocol.liquidate(OTHER, account, ETH, 2**255)
    assert house.state.accounts[account].cash == 0
    assert house.state.lines.insurance < 100_000 * WAD
    assert house.state.markets[ETH].stopped == 0
    assert house.state.slices.sliced == 0
    checks.ledger(house.state)
