"""Interest on debt: nobody prices another's past, and nobody earns by pushing the rate."""

from __future__ import annotations

from tests.support.world import USD, World

WAD = 10**18
DAY = 86_400


def debtor(world: World, name: str, usd: int, weth: int) -> bytes:
    account = world.account(name)
    world.add_collateral(account, world.weth, weth)
    owner = world.owner(account)
    world.clearinghouse.withdraw(account, usd * USD, owner, sender=owner)
    return account


def test_f06_a_rate_bought_for_a_block_costs_others_nothing(world: World) -> None:
    """The attacker borrows all there is and pays it back at once: his rate lasts no second."""
    world.debts.set_ceilings(10**9 * WAD, 20_000, sender=world.governor)
    victim = debtor(world, "victim", 50_000, 40)
    with world.evm.trial():
        world.evm.warp(DAY)
        alone = world.assess(victim).cash
    attacker = debtor(world, "attacker", 145_000, 100)
    high = world.debts.state()[1]
    world.deposit(attacker, 145_000)
    assert world.debts.state()[1] < high / 2
    world.evm.warp(DAY)
    assert abs(world.assess(victim).cash - alone) < 10**12


def test_f18_a_provider_who_borrows_to_raise_the_rate_loses(world: World) -> None:
    """He owns a tenth of the pool and pays the whole rate on what he borrows himself."""
    world.debts.set_ceilings(10**9 * WAD, 20_000, sender=world.governor)
    provider = world.wallet("attacker")
    world.enter_pool(provider, 1_000_000)
    victim = debtor(world, "victim", 50_000, 40)
    shares = world.pool.balanceOf(provider)

    def year() -> tuple[int, int]:
        """(what his shares earn, what the victim pays), WAD."""
        before, owed = world.pool.convertToAssets(shares), world.assess(victim).cash
        world.wait(365 * DAY)
        earned = world.pool.convertToAssets(shares) - before
        return earned * 10**12, owed - world.assess(victim).cash

    with world.evm.trial():
        fair, paid = year()
    attacker = debtor(world, "attacker", 160_000, 100)
    cash = world.assess(attacker).cash
    earned, robbed = year()
    cost = cash - world.assess(attacker).cash
    assert robbed > paid  # it can be done
    assert earned - fair < cost  # and does not pay


def test_f18_interest_is_the_same_in_one_account_or_in_ten(world: World) -> None:
    """Splitting a debt over buckets changes neither rate nor interest beyond a unit each."""
    world.debts.set_curve(100_000, 800_000, 0, 0, 0, sender=world.governor)
    whole = debtor(world, "whole", 80_000, 60)
    parts = []
    for bucket in range(10):
        account = world.account("split", bucket)
        world.add_collateral(account, world.weth, 6)
        owner = world.owner(account)
        world.clearinghouse.withdraw(account, 8_000 * USD, owner, sender=owner)
        parts.append(account)
    world.evm.warp(90 * DAY)
    one = -world.assess(whole).cash - 80_000 * WAD
    ten = sum(-world.assess(part).cash - 8_000 * WAD for part in parts)
    assert 0 <= ten - one <= 10


def test_m06_value_leaves_only_after_interest(world: World) -> None:
    """A year in debt, then all the collateral that the stored cash would leave free."""
    world.debts.set_curve(500_000, 800_000, 0, 0, 0, sender=world.governor)
    account = debtor(world, "debtor", 50_000, 60)
    free = world.assess(account).equity_initial - world.assess(account).initial
    world.wait(365 * DAY)
    s = world.assess(account)
    later = s.equity_initial - s.initial
    assert later < free - 30_000 * WAD
    most = later // 2_300
    owner = world.owner(account)
    world.vault.withdraw(account, world.weth.address, most, owner, sender=owner)
    after = world.assess(account)
    assert after.equity_initial >= after.initial
