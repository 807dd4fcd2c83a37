"""Debts: ceilings and interest on the bytecode; SPEC 2.7 and 11."""

from __future__ import annotations

import pytest

from keeper.core import interest
from keeper.core.interest import RAY, Curve
from keeper.core.units import YEAR
from tests.support.refusals import refused
from tests.support.world import BTC, USD, World

WAD = 10**18
NATIVE = 10**12
FLAT = (100_000, 800_000, 0, 0, 0)  # 10 % a year whatever is lent, all of it the pool's


@pytest.fixture
def flat(world: World) -> World:
    world.debts.set_curve(*FLAT, sender=world.governor)
    return world


def debtor(world: World, usd: int, name: str = "debtor", weth: int = 60) -> bytes:
    """An account without position, in debt against WETH at 2,500."""
    account = world.account(name)
    world.add_collateral(account, world.weth, weth)
    borrow(world, account, usd)
    return account


def borrow(world: World, account: bytes, usd: int) -> None:
    owner = world.owner(account)
    world.clearinghouse.withdraw(account, usd * USD, owner, sender=owner)


def stored_cash(world: World, account: bytes) -> int:
    word = world.clearinghouse.account_word(account)[0] & (2**112 - 1)
    return int(word - 2**112 if word >> 111 else word)


def lines(world: World) -> tuple[int, int]:
    """(pool, insurance), WAD."""
    ledger = world.markets.ledger()
    return int(ledger[0]), int(ledger[1])


# -- what debt costs


def test_f10_ten_percent_of_a_hundred_is_ten_and_its_interest(flat: World) -> None:
    """10 % a year, compounded every second: 10.517 after a year, in equity and in cash."""
    account = debtor(flat, 100)
    before = flat.assess(account)
    flat.wait(YEAR)
    owed = before.cash - flat.cash(account)
    assert abs(owed - 10_517_091_807_564_762_481) < 10**12  # e^0.1 less 10^-9 of it for seconds
    assert flat.assess(account).equity == before.equity - owed
    assert stored_cash(flat, account) == -100 * WAD  # until it moves
    flat.deposit(account, 1)
    assert stored_cash(flat, account) == -99 * WAD - owed
    (changed,) = flat.evm.events("DebtChanged")
    assert (changed.args.interest, changed.args.debt) == (owed, 99 * WAD + owed)


def test_f13_the_view_is_what_settling_takes(flat: World) -> None:
    account = debtor(flat, 50_000)
    flat.open_position(account, BTC, "0.1")
    flat.wait(40 * 86_400)
    before, report = flat.assess(account), flat.lens.report(account)
    assert report.interest > 0
    assert report.cash == before.cash == stored_cash(flat, account) - report.interest
    flat.mint(flat.usdc, flat.keeper, 1, flat.clearinghouse)
    flat.clearinghouse.deposit(account, 1, sender=flat.keeper)
    after = flat.assess(account)
    assert after.cash == before.cash + NATIVE == stored_cash(flat, account)
    assert after.equity == before.equity + NATIVE
    assert flat.lens.report(account).interest == 0


def test_f09_pokes_change_nothing(flat: World) -> None:
    """F-09, F-14: accrued every hour by a stranger, or once: the same to a few units."""
    account = debtor(flat, 80_000)
    with flat.evm.trial():
        flat.evm.warp(86_400)
        once = flat.debts.owed(account, 80_000 * WAD)
    for _ in range(24):
        flat.evm.warp(3_600)
        flat.clearinghouse.accrue_debt(sender=flat.keeper)
    assert 0 <= flat.debts.owed(account, 80_000 * WAD) - once <= 64


def test_m24_a_strangers_pokes_compound_nothing(flat: World) -> None:
    """Somebody settles the account by a gift of one unit every day: it owes no more by that."""
    one, other = debtor(flat, 80_000), debtor(flat, 80_000, "other")
    flat.mint(flat.usdc, flat.keeper, 30, flat.clearinghouse)
    for _ in range(30):
        flat.evm.warp(86_400)
        flat.clearinghouse.deposit(one, 1, sender=flat.keeper)
    poked, left = flat.assess(one, 0).cash, flat.assess(other, 0).cash
    assert abs(poked - 30 * NATIVE - left) < 3 * 10**11  # what the gifts did not have to bear


def test_f11_a_new_curve_prices_no_past(flat: World) -> None:
    account = debtor(flat, 80_000)
    flat.evm.warp(30 * 86_400)
    at_ten = flat.debts.owed(account, 80_000 * WAD)
    flat.debts.set_curve(500_000, 800_000, 0, 0, 0, sender=flat.governor)
    assert flat.debts.owed(account, 80_000 * WAD) == at_ten
    flat.evm.warp(86_400)
    day = flat.debts.owed(account, 80_000 * WAD) - at_ten
    assert abs(day - (80_000 * WAD + at_ten) * 5 // 3_650) < day // 1_000
    flat.debts.set_ceilings(0, 0, sender=flat.governor)
    assert flat.debts.owed(account, 80_000 * WAD) - at_ten == day


def test_f12_the_stored_rate_is_the_curves(world: World) -> None:
    """Below the kink, beyond it, and after all is paid back."""
    world.debts.set_ceilings(10**9 * WAD, 20_000, sender=world.governor)  # 200,000 in all
    shape = (20_000, 500_000, 60_000, 600_000, 100_000)
    world.debts.set_curve(*shape, sender=world.governor)
    account = world.account("debtor")
    world.add_collateral(account, world.weth, 200)
    for usd in (50_000, 49_000, 2_000, 80_000):
        borrow(world, account, usd)
        total, pool = world.debts.total(), lines(world)[0]
        used = interest.utilisation(total, pool * 20_000 // 10**6)
        assert world.debts.state()[1] == interest.rate(Curve(*shape), used)
    world.deposit(account, 190_000)
    assert world.debts.total() == 0
    assert world.debts.state()[1] == interest.rate(Curve(*shape), 0)


def test_f16_interest_is_split_without_a_rest(world: World) -> None:
    """What leaves the account is what pool and insurance get, to the unit; a share in advance."""
    world.debts.set_curve(100_000, 800_000, 0, 0, 250_000, sender=world.governor)
    account = debtor(world, 80_000)
    before, total = lines(world), sum(lines(world))
    world.evm.warp(30 * 86_400)
    world.clearinghouse.accrue_debt(sender=world.keeper)
    due = world.debts.due()
    advanced = lines(world)[1] - before[1]
    assert advanced == due * 250_000 // 10**6
    assert sum(lines(world)) == total  # from one line to the other
    world.deposit(account, 1)
    owed = WAD - stored_cash(world, account) - 80_000 * WAD
    assert sum(lines(world)) == total + owed
    assert world.debts.due() == 0
    assert 0 <= lines(world)[1] - before[1] - advanced <= 1
    assert due <= owed <= due + 3


def test_f08_the_sums_are_the_accounts(flat: World) -> None:
    """Borrowing, time, payments of some and of all: principal to the unit, scaled to the unit."""
    accounts = [debtor(flat, 10_000 * (n + 1), f"debtor {n}") for n in range(4)]
    for n, account in enumerate(accounts):
        flat.evm.warp(100_000 * (n + 1))
        flat.deposit(account, 15_000)
        cash = [stored_cash(flat, one) for one in accounts]
        settled = [flat.debts.index_of(one) for one in accounts]
        owing = [max(0, -one) for one in cash]
        _, _, _, total, bearing, scaled = flat.debts.state()
        assert total == bearing == sum(owing)
        assert scaled == sum(
            debt * RAY // index for debt, index in zip(owing, settled, strict=True) if index
        )
        assert [index != 0 for index in settled] == [debt != 0 for debt in owing]


def test_p05_nav_has_interest_as_it_accrues(world: World) -> None:
    """No lump: the day before it is paid and the day after, a share is worth the same."""
    account = debtor(world, 90_000)
    supply = world.pool.totalSupply()
    before = world.pool.convertToAssets(supply)
    world.wait(365 * 86_400)
    grown = world.pool.convertToAssets(supply)
    assert grown > before + 1_000 * USD
    world.deposit(account, 1)
    assert abs(world.pool.convertToAssets(supply) - grown) <= 1


def test_an_account_without_debt_is_not_in_the_table(flat: World) -> None:
    account = debtor(flat, 10_000)
    assert flat.debts.index_of(account) == flat.debts.state()[0]
    flat.deposit(account, 20_000)
    assert flat.debts.index_of(account) == 0
    flat.deposit(account, 1)
    assert flat.evm.events("DebtChanged") == []


def test_i02_debt_that_nobody_can_pay_is_paid_for_him_and_bears_no_interest(flat: World) -> None:
    """Nothing is behind it: interest on it would be a claim of the pool on nobody."""
    account = debtor(flat, 70_000, weth=40)
    flat.post({2: 1_000})
    flat.losses.set_insurance_cap(0, 0, sender=flat.governor)
    flat.mint(flat.usdc, flat.keeper, 60_000 * USD, flat.clearinghouse)
    flat.liquidator.repay_with_collateral(
        account, flat.weth.address, 60_000 * USD, 0, sender=flat.keeper
    )
    assert flat.vault.held(account, flat.weth.address) == 0
    left = -flat.assess(account).cash
    assert left > 0
    pool = flat.markets.ledger()[0]
    flat.liquidator.absorb(account, sender=flat.keeper)
    (told,) = flat.evm.events("DeficitPaid")
    assert (told.args.instrument, told.args.deficit) == (0, left)
    assert told.args.sliced == left == pool - flat.markets.ledger()[0]
    assert flat.debts.index_of(account) == 0
    assert (flat.debts.state()[3], flat.debts.state()[4]) == (0, 0)
    flat.evm.warp(365 * 86_400)
    assert flat.debts.due() == flat.assess(account).cash == 0


# -- ceilings


def test_ceilings_hold_debt_with_its_interest(flat: World) -> None:
    account = debtor(flat, 90_000)
    flat.debts.set_ceilings(100_000 * WAD, 200_000, sender=flat.governor)
    flat.wait(365 * 86_400)  # 9,465 more
    with refused("account: debt above its cap"):
        borrow(flat, account, 600)
    borrow(flat, account, 500)


def test_f18_other_peoples_interest_counts_in_the_ceiling_of_all(flat: World) -> None:
    debtor(flat, 90_000)
    flat.debts.set_ceilings(100_000 * WAD, 10_000, sender=flat.governor)  # 100,000 in all
    flat.wait(365 * 86_400)
    with refused("account: debt above its cap"):
        debtor(flat, 1_000, "late")


def test_setters__at_their_bounds(world: World) -> None:
    for figures in ((10**27, 500_000), (0, 0)):
        world.debts.set_ceilings(*figures, sender=world.governor)
        (event,) = world.evm.events("CeilingsChanged")
        assert tuple(event.args) == figures == tuple(world.debts.terms())[:2]
    for curve in ((2_000_000, 10_000, 0, 0, 0), (0, 990_000, 1_000_000, 1_000_000, 500_000)):
        world.debts.set_curve(*curve, sender=world.governor)
        (event,) = world.evm.events("CurveChanged")
        assert tuple(event.args) == curve == tuple(world.debts.terms())[2:]


@pytest.mark.parametrize("figures", [(10**27 + 1, 0), (0, 500_001), (2**256 - 1, 0), (0, 2**255)])
def test_set_ceilings__refusals(world: World, figures: tuple[int, int]) -> None:
    before = world.debts.terms()
    with refused("debts: out of range"):
        world.debts.set_ceilings(*figures, sender=world.governor)
    with refused("ownable: caller is not the owner"):
        world.debts.set_ceilings(0, 0, sender=world.keeper)
    assert world.debts.terms() == before


@pytest.mark.parametrize(
    "curve",
    [
        (2_000_001, 800_000, 0, 0, 0),
        (1_000_000, 800_000, 500_000, 500_001, 0),
        (0, 9_999, 0, 0, 0),
        (0, 990_001, 0, 0, 0),
        (0, 800_000, 0, 0, 500_001),
        (2**256 - 1, 800_000, 2, 0, 0),
        (0, 800_000, 2**255, 2**255, 0),
    ],
)
def test_set_curve__refusals(world: World, curve: tuple[int, ...]) -> None:
    before = world.debts.terms()
    with refused("debts: out of range"):
        world.debts.set_curve(*curve, sender=world.governor)
    with refused("ownable: caller is not the owner"):
        world.debts.set_curve(*FLAT, sender=world.keeper)
    assert world.debts.terms() == before


def test_nobody_but_the_clearinghouse_moves_a_debt(world: World) -> None:
    for caller in (world.governor, world.keeper):
        with refused("debts: only clearinghouse"):
            world.debts.change(bytes(32), 0, -1, True, sender=caller)
        with refused("debts: only clearinghouse"):
            world.debts.accrue(sender=caller)


def test_f04_ten_years_later_everybody_can_leave(world: World) -> None:
    """The highest curve, silence for ten years and for thirty more: views and acts answer."""
    world.debts.set_curve(2_000_000, 800_000, 0, 0, 500_000, sender=world.governor)
    account, other = debtor(world, 1_000), debtor(world, 90_000, "other")
    for years in (10, 30):
        world.wait(years * YEAR)
        assert world.assess(account).cash < -1_000 * WAD
        world.lens.report(account)
        world.clearinghouse.accrue_debt(sender=world.keeper)
    assert world.cash(account) > -1_000 * 60 * WAD  # two accruals, sevenfold each
    world.deposit(account, -(world.cash(account) // WAD) + 1)
    owner = world.owner(account)
    world.vault.withdraw(account, world.weth.address, 60 * WAD, owner, sender=owner)
    world.mint(world.usdc, world.keeper, 140_000 * USD, world.clearinghouse)
    world.liquidator.repay_with_collateral(
        other, world.weth.address, 140_000 * USD, 0, sender=world.keeper
    )
