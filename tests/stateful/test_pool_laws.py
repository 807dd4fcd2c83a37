"""The laws of the pool can fail: each is broken on purpose, by a wrong unit or a wrong rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from keeper.core.protocol import liquidity, views
from keeper.core.protocol.checks import Broken
from keeper.core.protocol.orders import Ending
from keeper.core.protocol.state import Order, State
from keeper.core.types import Address, account_id
from keeper.core.units import WAD
from tests.property.house import ETH, KEEPER, PRICE, USD, House
from tests.stateful import pool_laws

OWNER, OTHER, PROVIDER, LATER = (Address(bytes([one]) * 20) for one in (1, 2, 3, 4))
LONG, SHORT = account_id(OWNER, 0), account_id(OTHER, 0)
Step = tuple[str, tuple[Any, ...]]


@pytest.fixture
def house() -> House:
    return built()


def built() -> House:
    """A long of 20 and a short of 5, a tenth of a day old, with a pool of ten millions."""
    house = House()
    house.fund_pool(PROVIDER, 10_000_000)
    for owner, account in ((OWNER, LONG), (OTHER, SHORT)):
        house.endow(owner, 100_000)
        house.protocol.deposit(owner, account, 20_000 * USD)
    assert house.trade(LONG, 20 * WAD) is Ending.FILLED
    assert house.trade(SHORT, -5 * WAD) is Ending.FILLED
    house.state.now += 8_640
    house.post()
    house.endow(LATER, 1_000_000)
    return house


def an_execution(house: House) -> Step:
    """Of an order at its slot's price, when a newer price is stored."""
    order = Order(LONG, ETH, 3 * WAD + 7, 0, False, 0, 99)
    house.protocol.commit(OWNER, order)
    house.state.now += 1
    slot = house.post(PRICE + 12_345_678)
    house.post(PRICE - 3_333_333)
    return "execute", (KEEPER, order, slot)


def a_liquidation(house: House) -> Step:
    house.post(PRICE * 7 // 10)
    return "liquidate", (KEEPER, LONG, ETH, 2**256 - 1)


def some_requests(house: House) -> Step:
    house.protocol.request_deposit(LATER, 12_345_678_901, LATER, LATER, 0)
    shares = house.state.shares[PROVIDER] // 3
    house.protocol.request_redeem(PROVIDER, shares, PROVIDER, PROVIDER, 0)
    house.state.now += 60
    house.post(PRICE + 11)
    return "execute_requests", ((LATER,), (PROVIDER,))


def a_lapse(house: House) -> Step:
    house.protocol.request_deposit(LATER, 12_345_678_901, LATER, LATER, 0)
    house.state.now += 700
    return "lapse_requests", ((LATER,), ())


def a_deposit(_: House) -> Step:
    return "deposit", (OTHER, SHORT, 77)


STEPS = [an_execution, a_liquidation, some_requests, a_lapse, a_deposit]


@pytest.mark.parametrize("beyond", [0, 1, -1], ids=["as it is", "too much", "too little"])
@pytest.mark.parametrize("prepare", STEPS)
def test_i35_nav_moves_by_what_the_act_says_and_no_unit_more(
    house: House, prepare: Callable[[House], Step], beyond: int
) -> None:
    name, args = prepare(house)
    then = pool_laws.before(house.state, name, args)
    result = getattr(house.protocol, name)(*args)
    low, high = pool_laws.allowed(house.state, name, args, result, then)
    moved = views.nav(house.state) - then.nav
    assert low <= moved <= high
    if prepare not in (a_liquidation, some_requests):
        assert high - low <= 2 * pool_laws.DUST
    pool_laws.after(house.state, name, args, result, then)
    if beyond:
        give(house.state, (high if beyond > 0 else low) - moved + beyond)
        with pytest.raises(Broken, match="I-35"):
            pool_laws.after(house.state, name, args, result, then)


def give(state: State, units: int) -> None:
    with state.attempt():
        state.lines = replace(state.lines, pool=state.lines.pool + units)


@pytest.mark.parametrize("function", ["shares_for", "value_of"])
def test_i34_a_unit_too_many_for_who_acts_is_seen(
    house: House, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """Shares for assets, or assets for shares, that are ten native units worth too many."""
    other = built()
    judged(other, some_requests(other))
    step = some_requests(house)
    right = getattr(liquidity, function)
    monkeypatch.setattr(
        liquidity, function, lambda state, amount, nav: right(state, amount, nav) + 10**13
    )
    with pytest.raises(Broken, match="I-34"):
        judged(house, step)


def judged(house: House, step: Step) -> None:
    name, args = step
    then = pool_laws.before(house.state, name, args)
    result = getattr(house.protocol, name)(*args)
    pool_laws.after(house.state, name, args, result, then)
