"""Liquidation is possible exactly when it is due, and nobody can stop it, use it or stretch it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import astuple
from decimal import Decimal
from typing import Any

import pytest

from keeper.core.terms import decode
from scripts.parameters.units import WAD
from tests.attack.gang import gang, lines, take_out, worth
from tests.support.evm import Revert
from tests.support.refusals import refused
from tests.support.world import BTC, ETH, INSTRUMENTS, PRICES, SOL, USD, Order, World

BLOCK_SHARE = 3_000_000  # gas: a tenth of a block
ALL = 2**255


def isolated_long(world: World, usd: int = 5_000, name: str = "trader") -> bytes:
    """A bitcoin, long, in a bucket without grace."""
    (account,) = gang(world, name, 1, usd, bucket=1)
    world.open_position(account, BTC, 1)
    return account


def liquidate(world: World, account: bytes, instrument: int = BTC, most: int = ALL) -> Any:
    return world.liquidator.liquidate(account, instrument, most, sender=world.keeper)


@pytest.mark.parametrize("size", ["1", "-1"])
def test_l10_l11_an_account_opened_at_its_limit_cannot_be_liquidated(
    world: World, size: str
) -> None:
    """Nor after all that may be withdrawn has been; the price has to move first."""
    account = gang(world, "trader", 1, 4_300, bucket=1)[0]
    world.open_position(account, BTC, size)
    take_out(world, account)
    with refused("liquidation: not liquidatable"):
        liquidate(world, account)
    assert not world.liquidator.liquidatable(account)
    with refused("call: nothing to change"):
        world.liquidator.call(account, sender=world.keeper)
    world.wait(3_600)
    with refused("liquidation: not liquidatable"):
        liquidate(world, account)


@pytest.mark.parametrize("fall", ["0.95", "0.94", "0.91", "0.5", "0.000001"])
@pytest.mark.parametrize("most", [0, 1, 10**17, WAD - 1, WAD, WAD + 1, 2**127, ALL, 2**256 - 1])
def test_l20_l33_l35_any_loss_and_any_size(world: World, fall: str, most: int) -> None:
    """Half, just and far below: it closes something, at most what is there, or says why not."""
    account = isolated_long(world)
    world.post({BTC: PRICES[BTC] * Decimal(fall)})
    assert world.liquidator.liquidatable(account)
    before, house = world.assess(account), lines(world)
    with world.evm.trial():
        liquidate(world, account)
        wanted = WAD - world.size(account, BTC)

    too_small = most == 0 or (most < wanted == WAD)
    if too_small:  # nothing, or a part of what is to be closed whole
        with refused("liquidation: nothing to close"):
            liquidate(world, account, most=most)
        return
    reward = liquidate(world, account, most=most)
    assert WAD - world.size(account, BTC) == min(wanted, most)
    assert reward <= max(0, before.equity)
    assert world.size(account, BTC) != 0 or world.cash(account) >= 0
    assert lines(world).insurance >= house.insurance - 250_000 * WAD
    assert most < wanted or not world.liquidator.liquidatable(account) or not before.equity > 0


def test_l10_liquidating_oneself_through_another_wallet_gains_nothing(world: World) -> None:
    account, accomplice = isolated_long(world), world.account("accomplice")
    world.deposit(accomplice, 1)
    for price in (47_600, 47_000, 46_500, 45_600):
        with world.evm.trial():
            world.post({BTC: price})
            assert world.liquidator.liquidatable(account)
            before = worth(world, [account, accomplice])
            world.liquidator.liquidate(account, BTC, ALL, sender=world.owner(accomplice))
            lost = before - worth(world, [account, accomplice])
            closed = 1 - Decimal(world.size(account, BTC)) / WAD
            assert lost >= closed * price * Decimal("0.0035")  # lambda, whatever else is left
            with refused("liquidation: own account"):
                owner = world.owner(account)
                world.liquidator.liquidate(account, BTC, ALL, sender=owner)


def victims_tricks(world: World, account: bytes) -> list[Any]:
    """What a victim, or his friend, can do for next to nothing just before he is liquidated."""
    owner, other = world.owner(account), account[:20] + (2).to_bytes(12, "big")
    ch, friend = world.clearinghouse, world.wallet("friend")
    world.mint(world.usdc, owner, 10 * USD, ch)
    world.mint(world.usdc, friend, 10 * USD, ch)
    world.mint(world.weth, friend, 1, world.vault)
    world.mint(world.wbtc, friend, 1, world.vault)
    reduction = world.order(account, BTC, "-0.001", reduce_only=True)
    return [
        lambda: ch.deposit(account, 1, sender=owner),
        lambda: ch.deposit(account, 1, sender=friend),
        lambda: world.vault.deposit(account, world.weth.address, 1, sender=friend),
        lambda: world.vault.deposit(account, world.wbtc.address, 1, sender=friend),
        lambda: world.orders.commit(reduction.as_argument(), sender=owner),
        lambda: world.liquidator.call(account, sender=owner),
        lambda: world.markets.accrue([BTC, ETH, SOL], sender=owner),
        lambda: ch.move_position(account, other, BTC, sender=owner),
        lambda: ch.set_mode(account, 2, sender=owner),
        lambda: ch.move_cash(account, other, 1, sender=owner),
        lambda: ch.withdraw(account, 1, owner, sender=owner),
        lambda: world.orders.commit(Order(account, BTC, WAD // 10).as_argument(), sender=owner),
    ]


def test_l19_no_cheap_act_of_the_victim_stops_it(world: World) -> None:
    account = isolated_long(world)
    world.post({BTC: 47_000})
    for trick in victims_tricks(world, account):
        with world.evm.trial():
            with suppress(Revert):
                trick()
            liquidate(world, account)
            assert world.size(account, BTC) < WAD
    for trick in victims_tricks(world, account):  # and all of them together
        with suppress(Revert):
            trick()
    liquidate(world, account)
    assert world.size(account, BTC) < WAD


def test_l24_a_blocked_victim_is_liquidated_like_any_other() -> None:
    """Nothing is ever sent to it: the token would refuse."""
    world = World(settlement="HostileToken")
    world.endow()
    account = isolated_long(world)
    world.usdc.set_blocked(world.owner(account), True, sender=world.governor)
    world.post({BTC: 47_000})
    liquidate(world, account)
    assert 0 < world.size(account, BTC) < WAD
    world.post({BTC: 40_000})
    liquidate(world, account)
    assert world.size(account, BTC) == 0


def test_l23_a_batch_goes_on_past_any_poison(world: World) -> None:
    """Unknown accounts and instruments, the healthy, the caller's own, doubles."""
    ruined = [isolated_long(world, name=f"victim {i}") for i in range(3)]
    healthy = isolated_long(world, 9_000, "healthy")
    own = world.account(world.keeper, 1)
    world.deposit(own, 5_000)
    world.open_position(own, BTC, 1)
    world.post({BTC: 47_000})
    nobody = b"\x00" * 32
    batch = [
        (nobody, BTC), (nobody, 0), (ruined[0], 2**256 - 1), (ruined[0], 0), (ruined[0], ETH),
        (healthy, BTC), (own, BTC), (ruined[0], BTC), (ruined[0], BTC), (b"\xff" * 32, SOL),
        (ruined[1], BTC), (ruined[2], BTC),
    ]  # fmt: skip
    done = world.liquidator.liquidate_many(
        [account for account, _ in batch], [one for _, one in batch], sender=world.keeper
    )
    assert done == 3
    assert all(world.size(account, BTC) < WAD for account in ruined)
    assert world.size(healthy, BTC) == world.size(own, BTC) == WAD


def full_book(world: World) -> bytes:
    """An account with sixteen positions and eight collaterals, some of them dust of a stranger."""
    for number in range(len(INSTRUMENTS) + 1, 17):
        one = INSTRUMENTS[number % 3]
        risk, filled, limit = _terms(world, one)
        world.instruments.add_instrument(risk, filled, limit, sender=world.governor)
    owner = world.account("trader")
    world.deposit(owner, 24_000)
    for number in range(1, 17):
        feed = number if number <= 3 else INSTRUMENTS[number % 3]
        world.open_position(owner, number, Decimal(10_000) / PRICES[feed])
    stranger = world.wallet("stranger")
    for number in range(8):
        if number < 2:
            token = (world.weth, world.wbtc)[number]
        else:
            token = world.evm.deploy(
                world.artifacts["TestToken"], f"T{number}", "T", 18, sender=world.governor
            )
            world.mint(token, world.governor, 1_000, world.vault)
            world.vault.list_token(
                token.address, INSTRUMENTS[number % 3], 100_000, 10**24, 1, sender=world.governor
            )
        world.mint(token, stranger, 1, world.vault)
        world.vault.deposit(owner, token.address, 1, sender=stranger)
    return owner


def _terms(world: World, instrument: int) -> tuple[Any, Any, Any]:
    """An instrument's terms, as `add_instrument` takes them."""
    terms = decode(*world.instruments.terms(instrument))
    return astuple(terms.risk), astuple(terms.fill)[:-1], astuple(terms.limit)


def test_l34_d03_the_fullest_account_takes_a_tenth_of_a_block(world: World) -> None:
    account = full_book(world)
    assert world.assess(account).count == 16
    world.post({one: PRICES[one] * Decimal("0.91") for one in INSTRUMENTS})
    world.liquidator.call(account, sender=world.keeper)
    world.wait(world.terms.calls.grace_cross_seconds)
    assert world.liquidator.liquidatable(account)
    for number in range(1, 17):
        with world.evm.trial():
            liquidate(world, account, number)
            assert world.evm.gas_used < BLOCK_SHARE


def test_l34_a_deficit_of_sixteen_instruments_takes_a_tenth_of_a_block(world: World) -> None:
    """I-44: the last close of a ruined book, with eight collaterals, of which each instrument
    answers for its part, shared by who is short: 1,796,122 gas."""
    account = full_book(world)
    (short,) = gang(world, "short", 1, 400_000)
    for number in range(1, 17):
        feed = number if number <= 3 else INSTRUMENTS[number % 3]
        world.open_position(short, number, Decimal(-11_000) / PRICES[feed])
    for number in range(17):
        world.losses.set_insurance_cap(number, 0, sender=world.governor)
    world.losses.set_terms((0, 0, 0, 86_400, 10**27), sender=world.governor)
    world.post({one: PRICES[one] * Decimal("0.6") for one in INSTRUMENTS})
    most = 0
    for number in range(1, 17):
        liquidate(world, account, number)
        most = max(most, world.evm.gas_used)
    told = [one.args for one in world.evm.events("DeficitPaid")]
    assert len({one.instrument for one in told}) == 16
    assert sum(one.shared for one in told) > 0
    assert world.cash(account) == 0
    assert most < BLOCK_SHARE


def test_l12_dust_of_a_stranger_does_not_hide_a_deficit(world: World) -> None:
    """Collateral worth a cent, sent to the victim just before, would keep its deficit unpaid."""
    account = isolated_long(world)
    stranger = world.wallet("stranger")
    world.mint(world.weth, stranger, 10**13, world.vault)
    world.vault.deposit(account, world.weth.address, 10**13, sender=stranger)  # 2.5 cents
    world.post({BTC: 44_000})
    insurance = lines(world).insurance
    liquidate(world, account)
    assert world.size(account, BTC) == 0
    assert world.cash(account) == 0
    assert lines(world).insurance < insurance


def test_l12_collateral_that_is_worth_something_is_sold_first(world: World) -> None:
    account = isolated_long(world)
    world.add_collateral(account, world.weth, "0.001")  # 2.5 USD
    world.post({BTC: 44_000})
    insurance = lines(world).insurance
    liquidate(world, account)
    assert world.cash(account) < 0
    world.liquidator.absorb(account, sender=world.keeper)
    assert world.cash(account) < 0
    assert lines(world).insurance >= insurance
    world.mint(world.usdc, world.keeper, 10 * USD, world.clearinghouse)
    world.liquidator.repay_with_collateral(
        account, world.weth.address, 10 * USD, 0, sender=world.keeper
    )
    world.liquidator.absorb(account, sender=world.keeper)
    assert world.cash(account) == 0
