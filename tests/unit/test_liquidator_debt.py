"""Liquidator: deficits, sales of collateral for debt, its governor and views; SPEC 8.6, 8.7."""

from __future__ import annotations

import pytest

from tests.support.refusals import refused
from tests.support.staffed import (
    NOBODY,
    account_of,
    event,
    fill,
    leave,
    lines,
    market_of,
    refuses,
    release,
    tokens_add_up,
    usd,
)
from tests.support.world import BTC, ETH, USD, World

ALL = 2**256 - 1
ETHER = 10**18
CALL_TERMS = (400_000, 800_000, 0, 120)


@pytest.fixture
def world(staffed: World) -> World:
    return staffed


@pytest.fixture
def buyer(world: World) -> str:
    """Somebody with tokens, ready to pay."""
    who = world.wallet("buyer")
    world.mint(world.usdc, who, 10**6 * USD, world.clearinghouse)
    return who


def borrow(world: World, account: bytes, weth: int, cash: int) -> bytes:
    """Collateral in, and as much cash out of an empty account."""
    world.add_collateral(account, world.weth, weth)
    owner = world.owner(account)
    world.clearinghouse.withdraw(account, cash * USD, owner, sender=owner)
    return account


@pytest.fixture
def debtor(world: World) -> bytes:
    """Ten WETH against a debt of 20,000, in a bucket without grace: it counts 8.8 WETH, and
    must hold 1,000."""
    return borrow(world, world.account("debtor", 1), 10, 20_000)


def buy(world: World, account: bytes, buyer: str, native: int, minimum: int = 1) -> int:
    """WETH for a payment; native units of it."""
    return int(
        world.liquidator.repay_with_collateral(
            account, world.weth.address, native, minimum, sender=buyer
        )
    )


# -- deficits


@pytest.fixture
def broke(world: World) -> bytes:
    """One BTC long that has lost its 20,000, and 1,000 more."""
    account = world.account("trader", 1)
    world.deposit(account, 20_000)
    fill(world, account, BTC, 1)
    world.post({BTC: 29_200})
    leave(world, account, -usd(1_000))
    return account


DEFICIT = usd(1_000) + usd("102.2")  # with the spread


def liquidate(world: World, account: bytes) -> None:
    world.liquidator.liquidate(account, BTC, ALL, sender=world.keeper)


def test_deficit__is_paid_in_the_same_act(world: World, broke: bytes) -> None:
    world.markets.accrue([BTC], sender=world.keeper)
    before = lines(world)
    liquidate(world, broke)
    assert event(world, "Liquidated").args.charged == 0
    told = event(world, "DeficitPaid").args
    assert told == (broke, BTC, True, DEFICIT, DEFICIT, 0, 0, 0, 0, False)
    record = account_of(world, broke)
    assert (record.cash, record.book) == (0, ())
    assert world.debts.total() == 0
    assert lines(world).insurance == before.insurance - DEFICIT
    assert market_of(world, BTC).stopped == 0
    assert tokens_add_up(world, broke)


def test_deficit__beyond_the_cap_the_pool_pays_of_what_it_won(world: World, broke: bytes) -> None:
    world.losses.set_insurance_cap(BTC, usd(300), sender=world.governor)
    world.markets.accrue([BTC], sender=world.keeper)
    before = lines(world)
    liquidate(world, broke)
    told = event(world, "DeficitPaid").args
    assert (told.insured, told.own) == (usd(300), DEFICIT - usd(300))
    assert account_of(world, broke).cash == 0
    # what it could not collect it had counted as worth: all it has won is what the trader had
    assert lines(world).nav < before.nav
    assert market_of(world, BTC).stopped == 0
    other = world.account("other")
    world.deposit(other, 20_000)
    fill(world, other, BTC, 1)
    assert tokens_add_up(world, broke, other)


def test_absorb__does_nothing_where_there_is_no_deficit(world: World, debtor: bytes) -> None:
    healthy = world.account("trader")
    world.deposit(healthy, 5_000)
    for account in (healthy, debtor, world.account("nobody-yet")):
        world.liquidator.absorb(account, sender=world.keeper)
        assert world.evm.events() == []


def test_deficit__of_who_has_collateral_waits_for_its_sale(
    world: World, broke: bytes, buyer: str
) -> None:
    """0.1 WETH count 220 and are worth 250: they pay first, others what they cannot."""
    world.add_collateral(broke, world.weth, "0.1")
    liquidate(world, broke)
    assert world.evm.events("DeficitPaid") == []
    # equity was −780: nothing to charge but the spread
    assert account_of(world, broke).cash == -DEFICIT
    world.ripen_debt(broke)
    got = buy(world, broke, buyer, 242_500_000)  # all of it at 3 % off
    assert got == ETHER // 10
    assert world.vault.held(broke, world.weth.address) == 0
    world.liquidator.absorb(broke, sender=world.keeper)
    left = DEFICIT - usd("242.5")
    # the position had left it short by less than the sale did not bring
    assert event(world, "DeficitPaid").args == (broke, BTC, True, left, left, 0, 0, 0, 0, False)
    assert tokens_add_up(world, broke)


def test_deficit__dust_of_collateral_keeps_none_open(world: World, broke: bytes) -> None:
    """A millionth of a WETH is worth less than a dollar: it is left where it is."""
    world.add_collateral(broke, world.weth, "0.000001")
    liquidate(world, broke)
    assert account_of(world, broke).cash == 0
    assert world.vault.held(broke, world.weth.address) == 10**12


def test_deficit__collateral_that_is_worth_something_is_sold_first(
    world: World, broke: bytes, buyer: str
) -> None:
    """A thousandth of a WETH, sold whole for three dollars."""
    world.add_collateral(broke, world.weth, "0.001")
    liquidate(world, broke)
    world.liquidator.absorb(broke, sender=world.keeper)
    with refuses(world, "debt: too little collateral", broke):
        buy(world, broke, buyer, 3 * USD, 10**15 + 1)
    assert buy(world, broke, buyer, 3 * USD, 10**15) == 10**15
    debt = DEFICIT - usd(3)
    assert account_of(world, broke).cash == -debt
    world.liquidator.absorb(broke, sender=world.keeper)
    assert account_of(world, broke).cash == 0


# -- debt for sale


def test_repay__at_the_price_less_the_discount(world: World, debtor: bytes, buyer: str) -> None:
    """At 2,380 the account has 944 of the 1,000 it must hold; a WETH sells for 2,308.6."""
    world.post({ETH: 2_380})
    world.ripen_debt(debtor)
    payer_had = world.usdc.balanceOf(buyer)
    got = buy(world, debtor, buyer, 1_000 * USD)
    assert got == 433_162_955_904_011_088  # 1,000 / 2,308.6, rounded down
    assert event(world, "DebtSold").args == (
        debtor,
        world.weth.address,
        buyer,
        usd(1_000),
        got,
    )
    assert event(world, "CashChanged").args == (debtor, 10, usd(1_000), -usd(19_000), 0)
    assert world.weth.balanceOf(buyer) == got
    assert world.usdc.balanceOf(buyer) == payer_had - 1_000 * USD
    assert world.vault.held(debtor, world.weth.address) == 10 * ETHER - got
    assert world.debts.total() == usd(19_000)
    assert tokens_add_up(world, debtor)


def test_repay__of_other_decimals(world: World, buyer: str) -> None:
    debtor = world.account("debtor", 1)
    world.add_collateral(debtor, world.wbtc, 1)
    owner = world.owner(debtor)
    world.clearinghouse.withdraw(debtor, 40_000 * USD, owner, sender=owner)
    world.post({BTC: 46_000})  # counts 41,860 of the 42,000 that are needed
    world.ripen_debt(debtor)
    pay = world.liquidator.repay_with_collateral
    assert pay(debtor, world.wbtc.address, 1_000 * USD, 1, sender=buyer) == 2_241_147


def test_repay__only_from_who_is_liquidatable(world: World, debtor: bytes, buyer: str) -> None:
    """8.8 WETH · price must be 21,000: at 2,386.36363636 a hair is missing."""
    world.post({ETH: "2386.36363637"})
    with refuses(world, "debt: not for sale", debtor):
        buy(world, debtor, buyer, USD)
    world.post({ETH: "2386.36363636"})
    buy(world, debtor, buyer, USD)


def test_repay__of_a_cross_account_after_its_grace(world: World, buyer: str) -> None:
    debtor = borrow(world, world.account("debtor"), 10, 20_000)
    world.post({ETH: 2_380})
    with refuses(world, "debt: not for sale", debtor):
        buy(world, debtor, buyer, USD)
    world.liquidator.call(debtor, sender=world.keeper)
    world.wait(119)
    with refuses(world, "debt: not for sale", debtor):
        buy(world, debtor, buyer, USD)
    world.wait(1)
    buy(world, debtor, buyer, USD)


def test_repay__of_a_healthy_debtor_above_the_threshold(
    world: World, debtor: bytes, buyer: str
) -> None:
    world.liquidator.set_debt_threshold(usd(20_000), sender=world.governor)
    with refuses(world, "debt: not for sale", debtor):
        buy(world, debtor, buyer, USD)
    with refuses(world, "debt: nothing to change", debtor):
        world.liquidator.mark_debt(debtor, sender=world.keeper)
    world.liquidator.set_debt_threshold(usd(19_000), sender=world.governor)
    with refuses(world, "debt: in grace", debtor):
        buy(world, debtor, buyer, USD)
    world.liquidator.mark_debt(debtor, sender=world.keeper)
    due = world.evm.timestamp + 600
    assert event(world, "DebtDue").args == (debtor, due)
    with refuses(world, "debt: nothing to change", debtor):
        world.liquidator.mark_debt(debtor, sender=world.keeper)
    world.wait(599)
    with refuses(world, "debt: in grace", debtor):
        buy(world, debtor, buyer, USD)
    world.wait(1)
    assert buy(world, debtor, buyer, USD) == 400_000_000_000_000  # 1 / 2,500: no discount yet
    world.wait(150)
    assert buy(world, debtor, buyer, USD) == 406_091_370_558_375  # half of it: 1 / 2,462.5
    world.wait(150)
    assert buy(world, debtor, buyer, USD) == 412_371_134_020_618  # 1 / 2,425
    world.wait(10_000)
    assert buy(world, debtor, buyer, USD) == 412_371_134_020_618
    world.deposit(debtor, 1_000)
    with refuses(world, "debt: not for sale", debtor):
        buy(world, debtor, buyer, USD)
    world.liquidator.mark_debt(debtor, sender=world.keeper)
    assert event(world, "DebtDue").args == (debtor, 0)


def test_repay__who_becomes_liquidatable_in_his_grace_is_due_at_once(
    world: World, debtor: bytes, buyer: str
) -> None:
    world.liquidator.set_debt_threshold(usd(10_000), sender=world.governor)
    world.liquidator.mark_debt(debtor, sender=world.keeper)
    world.post({ETH: 2_380})
    world.liquidator.mark_debt(debtor, sender=world.keeper)
    assert event(world, "DebtDue").args == (debtor, world.evm.timestamp)
    world.wait(30)
    assert buy(world, debtor, buyer, USD) == 421_432_364_319_850  # 1 / (2,380 less 0.3 %)


def test_repay__the_first_sale_of_the_liquidatable_starts_the_time(
    world: World, debtor: bytes, buyer: str
) -> None:
    world.post({ETH: 2_380})
    assert buy(world, debtor, buyer, USD) == 420_168_067_226_890  # 1 / 2,380
    assert world.liquidator.debt_due(debtor) == world.evm.timestamp
    world.wait(300)
    assert buy(world, debtor, buyer, USD) == 433_162_955_904_011
    buy(world, debtor, buyer, ALL)
    assert event(world, "DebtDue").args == (debtor, 0)  # paid in full


def test_set_debt_timing__within_its_bounds(world: World) -> None:
    setter = world.liquidator.set_debt_timing
    for figures in ((0, 60), (604_800, 604_800)):
        setter(*figures, sender=world.governor)
        assert world.liquidator.debt_timing() == figures == event(world, "DebtTimingChanged").args
    for figures in ((604_801, 60), (0, 59), (0, 604_801), (ALL, 60), (0, ALL)):
        with refused("liquidation: out of range"):
            setter(*figures, sender=world.governor)
    with refused("ownable: caller is not the owner"):
        setter(0, 60, sender=world.keeper)


def test_repay__takes_no_more_than_the_debt(world: World, debtor: bytes, buyer: str) -> None:
    """Somebody has paid a unit back just before: the sale goes on, for a unit less."""
    world.post({ETH: 2_380})
    world.ripen_debt(debtor)
    had = world.usdc.balanceOf(buyer)
    world.clearinghouse.deposit(debtor, 1, sender=buyer)
    got = buy(world, debtor, buyer, 20_000 * USD)
    assert got == 8_663_259_117_647_058_823  # 19,999.999999 / 2,308.6
    assert event(world, "DebtSold").args.paid == usd("19999.999999")
    assert world.usdc.balanceOf(buyer) == had - 20_000 * USD
    assert account_of(world, debtor).cash == 0
    assert world.debts.total() == 0
    with refuses(world, "debt: not for sale", debtor):
        buy(world, debtor, buyer, 1)


def test_repay__to_the_next_native_unit(world: World, debtor: bytes, buyer: str) -> None:
    """A debt of 20,000 and one unit of 10^-18 takes 20,000.000001, and not a unit more."""
    world.post({ETH: 2_380})
    release(world, debtor, 0, 1, 0, NOBODY)
    had = world.usdc.balanceOf(buyer)
    buy(world, debtor, buyer, ALL)
    assert world.usdc.balanceOf(buyer) == had - 20_000 * USD - 1
    assert account_of(world, debtor).cash == 10**12 - 1


def test_repay__refusals(world: World, debtor: bytes, buyer: str) -> None:
    world.post({ETH: 2_380})
    pay = world.liquidator.repay_with_collateral
    with refuses(world, "debt: nothing to pay", debtor):
        buy(world, debtor, buyer, 0)
    with refuses(world, "debt: too little collateral", debtor):
        buy(world, debtor, buyer, 1_000 * USD, 433_162_955_904_011_089)
    with refuses(world, "debt: too little collateral", debtor):
        pay(debtor, world.wbtc.address, USD, 0, sender=buyer)  # it holds none
    with refuses(world, "oracle: unknown feed", debtor):
        pay(debtor, world.usdc.address, USD, 0, sender=buyer)  # not listed
    rich = world.account("rich")
    world.deposit(rich, 5)
    for account in (rich, world.account("nobody-yet")):
        with refuses(world, "debt: not for sale", account):
            buy(world, account, buyer, USD)
    poor = world.wallet("poor")
    world.usdc.approve(world.clearinghouse.address, ALL, sender=poor)
    with refuses(world, f"ERC20InsufficientBalance({poor}, 0, {USD})", debtor):
        buy(world, debtor, poor, USD)
    world.evm.warp(121)
    with refuses(world, "oracle: stale price", debtor):
        buy(world, debtor, buyer, USD)


def test_repay__needs_fresh_prices_of_all_that_the_debtor_has(
    world: World, debtor: bytes, buyer: str
) -> None:
    world.add_collateral(debtor, world.wbtc, "0.001")
    world.evm.warp(121)
    world.post({ETH: 2_300})
    with refuses(world, "oracle: stale price", debtor):
        buy(world, debtor, buyer, USD)
    world.post({BTC: 50_000})
    buy(world, debtor, buyer, USD)


def test_repay__the_debtor_may_himself(world: World, debtor: bytes) -> None:
    world.post({ETH: 2_380})
    owner = world.owner(debtor)
    world.usdc.approve(world.clearinghouse.address, ALL, sender=owner)
    buy(world, debtor, owner, 1_000 * USD)


# -- governor and views


def test_set_call_terms__at_their_bounds(world: World) -> None:
    for figures in ((1, 500_000, 0, 0), (999_999, 10**6, 86_400, 86_400), CALL_TERMS):
        world.liquidator.set_call_terms(*figures, sender=world.governor)
        assert tuple(world.liquidator.call_terms()) == figures
        assert event(world, "CallTermsChanged").args == figures


@pytest.mark.parametrize(
    ("place", "figure"),
    [(0, 0), (0, 10**6), (1, 499_999), (1, 10**6 + 1), (2, 86_401), (3, 86_401)]
    + [(place, ALL) for place in range(4)],
)
def test_set_call_terms__refuses_what_is_out_of_range(
    world: World, place: int, figure: int
) -> None:
    figures = list(CALL_TERMS)
    figures[place] = figure
    with refused("liquidation: out of range"):
        world.liquidator.set_call_terms(*figures, sender=world.governor)
    with refused("ownable: caller is not the owner"):
        world.liquidator.set_call_terms(*CALL_TERMS, sender=world.keeper)
    assert tuple(world.liquidator.call_terms()) == CALL_TERMS


def test_set_debt_threshold__within_its_bounds(world: World) -> None:
    setter = world.liquidator.set_debt_threshold
    for threshold in (0, 10**27):
        setter(threshold, sender=world.governor)
        assert world.liquidator.debt_threshold() == threshold
        assert event(world, "DebtThresholdChanged").args == (threshold,)
    for threshold in (10**27 + 1, ALL):
        with refused("liquidation: out of range"):
            setter(threshold, sender=world.governor)
    with refused("ownable: caller is not the owner"):
        setter(0, sender=world.keeper)
    assert world.liquidator.debt_threshold() == 10**27


@pytest.mark.parametrize(
    ("maintenance", "plain", "line"),
    [(usd(2_727), usd(4_027), usd(3_247)), (0, 0, 0), (10, 11, 11), (10, 20, 14), (10, 22, 15)],
)
def test_call_line__rounds_up(world: World, maintenance: int, plain: int, line: int) -> None:
    assert world.liquidator.call_line(maintenance, plain) == line


def test_liquidator__knows_whom_it_asks(worked: World) -> None:
    asked = worked.liquidator
    assert (asked.CLEARINGHOUSE(), asked.VAULT(), asked.ORACLE_HUB(), asked.owner()) == (
        worked.clearinghouse.address,
        worked.vault.address,
        worked.hub.address,
        worked.governor,
    )


def test_deployment__insurance_covers_debt_that_no_instrument_caused(worked: World) -> None:
    assert worked.losses.insurance_cap(0) == usd(50_000)
