"""TopUps: rules of owners, executed by anyone; SPEC 13."""

from __future__ import annotations

import pytest

from tests.support.refusals import refused
from tests.support.world import BTC, World, fresh

WAD = 10**18
NATIVE = 10**12
PPM = 10**6
MICRO = 10**6  # of a USD
RULE = (1_500_000, 2_000_000, 600, 5_000 * MICRO, 20_000 * MICRO)


@pytest.fixture
def source(world: World) -> bytes:
    account = world.account("trader")
    world.deposit(account, 50_000)
    return account


@pytest.fixture
def bucket(world: World, source: bytes) -> bytes:
    """One BTC long in a bucket of its own, with 6,000 behind it, and a rule."""
    account = world.account("trader", 1)
    world.deposit(account, 6_000)
    world.open_position(account, BTC, 1)
    world.top_ups.set_rule(account, *RULE, sender=world.owner(account))
    return account


def fall(world: World, usd: int = 47_900) -> None:
    world.post({BTC: usd})


def test_top_up__brings_a_bucket_to_its_target(world: World, source: bytes, bucket: bytes) -> None:
    """To twice maintenance, to a native unit, by a stranger who gets nothing."""
    with refused("topup: not needed"):
        world.top_ups.top_up(bucket, sender=world.keeper)
    fall(world)
    before, had = world.assess(bucket), world.cash(source)
    assert PPM * before.equity < 1_500_000 * before.maintenance
    moved = world.top_ups.top_up(bucket, sender=world.keeper)
    (told,) = world.evm.events("ToppedUp")
    left = 20_000 * MICRO - moved
    assert tuple(told.args) == (bucket, world.keeper, moved, left)
    after = world.assess(bucket)
    assert after.equity == before.equity + moved * NATIVE
    assert 0 <= after.equity - 2 * after.maintenance < NATIVE
    assert world.cash(source) == had - moved * NATIVE
    assert world.top_ups.rule(bucket).last_at == world.evm.timestamp


def test_top_up__no_more_than_the_rule_allows(world: World, source: bytes, bucket: bytes) -> None:
    """At once, in a time, and in all."""
    owner = world.owner(bucket)
    world.top_ups.set_rule(
        bucket, 9_000_000, 10_000_000, 600, 2_000 * MICRO, 3_000 * MICRO + 1, sender=owner
    )
    assert world.top_ups.top_up(bucket, sender=world.keeper) == 2_000 * MICRO
    with refused("topup: too soon"):
        world.top_ups.top_up(bucket, sender=world.keeper)
    world.wait(599)
    with refused("topup: too soon"):
        world.top_ups.top_up(bucket, sender=world.keeper)
    world.wait(1)
    assert world.top_ups.top_up(bucket, sender=world.keeper) == 1_000 * MICRO + 1
    world.wait(600)
    with refused("topup: no rule"):
        world.top_ups.top_up(bucket, sender=world.keeper)


def test_top_up__never_borrows_and_leaves_bucket_0_its_margin(
    world: World, source: bytes, bucket: bytes
) -> None:
    owner = world.owner(source)
    world.open_position(source, BTC, 5)
    fall(world)
    s = world.assess(source)
    free = s.equity_initial - s.initial
    world.clearinghouse.withdraw(source, free // NATIVE - 1_000 * MICRO, owner, sender=owner)
    moved = world.top_ups.top_up(bucket, sender=world.keeper)
    assert 999 * MICRO < moved <= 1_000 * MICRO
    after = world.assess(source)
    assert 0 <= after.equity_initial - after.initial < 2 * NATIVE


def test_top_up__a_trifle_uses_up_no_interval(world: World, source: bytes, bucket: bytes) -> None:
    owner = world.owner(source)
    fall(world)
    world.add_collateral(source, world.weth, 100)  # it could borrow; it does not
    cash = world.cash(source) // NATIVE
    world.clearinghouse.withdraw(source, cash - 100 * MICRO, owner, sender=owner)
    with refused("topup: too little free"):
        world.top_ups.top_up(bucket, sender=world.keeper)
    world.clearinghouse.withdraw(source, 100 * MICRO, owner, sender=owner)
    with refused("topup: too little free"):
        world.top_ups.top_up(bucket, sender=world.keeper)
    world.deposit(source, 10_000)
    assert world.top_ups.top_up(bucket, sender=world.keeper) > 0


def test_top_up__needs_a_fresh_price(world: World, bucket: bytes) -> None:
    fall(world)
    world.evm.warp(121)
    with refused("oracle: stale price"):
        world.top_ups.top_up(bucket, sender=world.keeper)


def test_l40_a_rule_saves_from_liquidation(world: World, source: bytes, bucket: bytes) -> None:
    fall(world, 46_000)
    assert world.liquidator.liquidatable(bucket)
    world.top_ups.top_up(bucket, sender=world.keeper)
    assert not world.liquidator.liquidatable(bucket)
    with refused("liquidation: not liquidatable"):
        world.liquidator.liquidate(bucket, BTC, 2**256 - 1, sender=world.keeper)


def test_set_rule__its_owner_alone_and_never_for_bucket_0(
    world: World, source: bytes, bucket: bytes
) -> None:
    owner, thief = world.owner(bucket), world.wallet("thief")
    with refused("account: not the owner"):
        world.top_ups.set_rule(bucket, *RULE, sender=thief)
    with refused("topup: bucket 0 is the source"):
        world.top_ups.set_rule(source, *RULE, sender=owner)
    world.top_ups.set_rule(bucket, *RULE[:4], 0, sender=owner)
    (told,) = world.evm.events("RuleSet")
    assert tuple(told.args) == (bucket, 0, 0, 0, 0, 0) == (bucket, *world.top_ups.rule(bucket))[:6]
    with refused("topup: no rule"):
        world.top_ups.top_up(bucket, sender=world.keeper)


@pytest.mark.parametrize(
    "rule",
    [
        (999_999, 2_000_000, 600, 1, 1),
        (1_500_000, 1_500_000, 600, 1, 1),
        (1_500_000, 10_000_001, 600, 1, 1),
        (1_500_000, 2_000_000, 59, 1, 1),
        (1_500_000, 2_000_000, 30 * 86_400 + 1, 1, 1),
        (1_500_000, 2_000_000, 600, 0, 1),
        (1_500_000, 2_000_000, 600, 2**64, 1),
        (1_500_000, 2_000_000, 600, 1, 2**64),
        (2**256 - 1, 2**256 - 1, 2**256 - 1, 2**256 - 1, 2**256 - 1),
    ],
)
def test_set_rule__bounds(world: World, bucket: bytes, rule: tuple[int, ...]) -> None:
    before = world.top_ups.rule(bucket)
    with refused("topup: out of range"):
        world.top_ups.set_rule(bucket, *rule, sender=world.owner(bucket))
    assert world.top_ups.rule(bucket) == before


def test_g04_nobody_else_moves_between_another_ones_buckets(
    world: World, source: bytes, bucket: bytes
) -> None:
    for who in (world.keeper, world.governor):
        with refused("account: not the owner"):
            world.clearinghouse.move_cash(source, bucket, 1, sender=who)
    with refused("account: not the owner"):  # nor does he to somebody else
        world.clearinghouse.move_cash(source, world.account("thief"), 1, sender=world.owner(source))


def test_g04_not_even_the_contract_of_rules_moves_to_another_owner() -> None:
    with fresh("TopUps") as world:
        source = world.account("trader")
        world.deposit(source, 100)
        move, rules = world.clearinghouse.move_cash, world.stand_ins["TopUps"]
        with refused("account: not the owner"):
            move(source, world.account("thief"), 1, sender=rules)
        with refused("account: not the owner"):
            move(source, world.account(rules), 1, sender=rules)
        move(source, world.account("trader", 1), 1, sender=rules)
