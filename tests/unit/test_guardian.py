"""The guardian halts, the steward tightens: what acts without waiting; SPEC 10.8 to 10.10."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keeper.core.terms import LimitTerms, decode
from keeper.core.types import Status
from tests.support.refusals import refused
from tests.support.world import BTC, ETH, INSTRUMENTS, SOL, WAD, World

DAY = 86_400
HALT, REST = 3 * DAY, 7 * DAY
FILLED, HALTED = 0, 7
OWNER = "ownable: caller is not the owner"


def halt(world: World, *instruments: int) -> None:
    world.instruments.halt(list(instruments), sender=world.guardian)


def statuses(world: World) -> list[int]:
    return [world.instruments.status(one) for one in INSTRUMENTS]


def until(world: World, moment: int) -> None:
    world.evm.warp(moment - world.evm.timestamp)


# -- the guardian


def test_halt__stops_new_risk_and_nothing_else(world: World) -> None:
    """I-40: reducing, withdrawing and liquidating go on, and orders underway end free."""
    long = world.account("long")
    world.deposit(long, 50_000)
    world.open_position(long, BTC, 2)
    order = world.order(long, BTC, 1)
    world.commit(order)
    halt(world, BTC)
    assert world.evm.events("FillTermsChanged")[0].args[2] == Status.HALTED
    assert world.execute(order, world.due_slot(order)) == HALTED
    with refused("market: not open"):
        world.commit(world.order(long, BTC, 1))
    assert world.trade(long, BTC, -1) == FILLED
    owner = world.owner(long)
    world.clearinghouse.withdraw(long, 10**6, owner, sender=owner)
    world.open_position(long, ETH, 1)  # another instrument


def test_halt__starts_no_grace(world: World) -> None:
    long = world.account("long")
    world.deposit(long, 10_000)
    world.open_position(long, BTC, 2)
    world.post({BTC: 45_100})
    world.liquidator.call(long, sender=world.keeper)
    deadline = world.assess(long).deadline
    halt(world, BTC)
    assert world.assess(long).deadline == deadline
    world.post({BTC: 44_000})
    assert world.liquidator.liquidatable(long)
    world.liquidator.liquidate(long, BTC, 2**255, sender=world.keeper)


def test_halt__ends_by_itself_after_72_hours(world: World) -> None:
    start = world.evm.timestamp
    halt(world, BTC, ETH)
    assert world.instruments.halt_ends() == start + HALT
    assert statuses(world) == [Status.HALTED, Status.HALTED, Status.OPEN]
    until(world, start + HALT - 1)
    assert statuses(world) == [Status.HALTED, Status.HALTED, Status.OPEN]
    until(world, start + HALT)
    assert statuses(world) == [Status.OPEN] * 3


def test_halt__all_of_a_row_end_with_the_first(world: World) -> None:
    start = world.evm.timestamp
    halt(world, BTC)
    until(world, start + 2 * DAY)
    halt(world, ETH, BTC)
    until(world, start + HALT)
    assert statuses(world) == [Status.OPEN] * 3


def test_halt__then_none_for_seven_days(world: World) -> None:
    start = world.evm.timestamp
    halt(world, BTC)
    world.instruments.resume([BTC], sender=world.guardian)
    halt(world, ETH)  # of the same row
    for moment in (start + HALT, start + HALT + REST - 1):
        until(world, moment)
        with refused("instruments: guardian must rest"):
            halt(world, SOL)
    until(world, start + HALT + REST)
    halt(world, SOL)
    # what the first row halted is open, though it was never resumed
    assert statuses(world) == [Status.OPEN, Status.OPEN, Status.HALTED]


def test_halt__of_what_is_not_open_changes_nothing(world: World) -> None:
    world.instruments.set_status(BTC, Status.REDUCE_ONLY, sender=world.governor)
    at = world.evm.timestamp + 2 * DAY
    world.instruments.delist(ETH, at, sender=world.governor)
    halt(world, BTC, ETH, SOL)
    assert statuses(world) == [Status.REDUCE_ONLY, Status.DELISTING, Status.HALTED]
    assert world.instruments.settlement(ETH) == (at, 0)
    with refused("instruments: unknown instrument"):
        halt(world, 99)


def test_resume__only_what_the_guardian_halted(world: World) -> None:
    world.instruments.set_status(ETH, Status.HALTED, sender=world.governor)
    halt(world, BTC)
    world.instruments.resume([BTC, ETH, SOL, 99], sender=world.guardian)
    assert statuses(world) == [Status.OPEN, Status.HALTED, Status.OPEN]
    until(world, world.evm.timestamp + 30 * DAY)
    assert world.instruments.status(ETH) == Status.HALTED  # the governor's has no end


def test_halt__the_governor_may_lift_or_replace_it(world: World) -> None:
    halt(world, BTC, ETH)
    world.instruments.set_status(BTC, Status.OPEN, sender=world.governor)
    world.instruments.set_status(ETH, Status.REDUCE_ONLY, sender=world.governor)
    until(world, world.evm.timestamp + HALT)
    assert statuses(world) == [Status.OPEN, Status.REDUCE_ONLY, Status.OPEN]


def test_halt__only_the_guardian_whom_the_governor_names(world: World) -> None:
    for stranger in (world.governor, world.steward, world.keeper):
        with refused("instruments: only guardian"):
            world.instruments.halt([BTC], sender=stranger)
        with refused("instruments: only guardian"):
            world.instruments.resume([BTC], sender=stranger)
    with refused(OWNER):
        world.instruments.set_guardian(world.keeper, sender=world.guardian)
    world.instruments.set_guardian(world.keeper, sender=world.governor)
    assert world.evm.events("GuardianChanged")[0].args == (world.keeper,)
    with refused("instruments: only guardian"):
        halt(world, BTC)
    world.instruments.halt([BTC], sender=world.keeper)


# -- the steward


def caps(world: World) -> LimitTerms:
    return decode(*world.instruments.terms(BTC)).limit


def test_steward__lowers_caps_of_open_interest(world: World) -> None:
    before = caps(world)
    lower = (before.oi_cap_wad - 1, before.oi_cap_usd - 1)
    world.instruments.set_caps(BTC, *lower, sender=world.steward)
    after = caps(world)
    assert (after.oi_cap_wad, after.oi_cap_usd) == lower
    assert (after.penalty_ppm, after.fee_insurance_bps) == (
        before.penalty_ppm,
        before.fee_insurance_bps,
    )
    for looser in ((lower[0] + 1, lower[1]), (lower[0], lower[1] + 1)):
        with refused(OWNER):
            world.instruments.set_caps(BTC, *looser, sender=world.steward)
    world.instruments.set_caps(BTC, before.oi_cap_wad, before.oi_cap_usd, sender=world.governor)
    assert caps(world) == before


def test_steward__makes_an_open_instrument_reduce_only_and_no_more(world: World) -> None:
    for status in (Status.OPEN, Status.HALTED):
        with refused(OWNER):
            world.instruments.set_status(BTC, status, sender=world.steward)
    world.instruments.set_status(BTC, Status.REDUCE_ONLY, sender=world.steward)
    with refused(OWNER):
        world.instruments.set_status(BTC, Status.OPEN, sender=world.steward)
    at = world.evm.timestamp + DAY
    world.instruments.delist(BTC, at, sender=world.governor)
    with refused(OWNER):  # that would take a delisting back
        world.instruments.set_status(BTC, Status.REDUCE_ONLY, sender=world.steward)


def test_steward__lowers_the_cap_of_a_collateral_token(world: World) -> None:
    vault, token = world.vault, world.weth.address
    cap = vault.listing(token).cap
    vault.set_cap(token, cap - 1, sender=world.steward)
    assert vault.listing(token).cap == cap - 1
    with refused(OWNER):
        vault.set_cap(token, cap, sender=world.steward)
    vault.set_cap(token, 0, sender=world.steward)
    vault.set_cap(token, cap, sender=world.governor)


def test_steward__liquidates_nobody(world: World) -> None:
    """Whatever he does, what an account must hold to stay open is as it was."""
    long = world.account("long")
    world.deposit(long, 20_000)
    world.add_collateral(long, world.weth, 1)
    world.open_position(long, BTC, 2)
    before = world.assess(long)
    world.instruments.set_caps(BTC, 1, 1, sender=world.steward)
    world.instruments.set_status(BTC, Status.REDUCE_ONLY, sender=world.steward)
    world.vault.set_cap(world.weth.address, 0, sender=world.steward)
    after = world.assess(long)
    assert (after.maintenance, after.plain_initial) == (before.maintenance, before.plain_initial)
    assert after.equity == before.equity
    assert world.trade(long, BTC, -2) == FILLED


@pytest.mark.parametrize("contract", ["instruments", "vault"])
def test_steward__only_the_owner_appoints(world: World, contract: str) -> None:
    place = getattr(world, contract)
    appoint: Callable[..., None] = place.set_steward
    for stranger in (world.steward, world.guardian, world.keeper):
        with refused(OWNER):
            appoint(stranger, sender=stranger)
    appoint(world.keeper, sender=world.governor)
    assert world.evm.events("StewardChanged")[0].args == (world.keeper,)
    assert place.steward() == world.keeper


def test_steward__at_most_what_fits_when_the_owner_raises(world: World) -> None:
    """7.11 holds for this setter too."""
    before = caps(world)
    with refused("terms: premium too large"):
        world.instruments.set_caps(
            BTC, before.oi_cap_wad * 2, before.oi_cap_usd, sender=world.governor
        )
    with refused("terms: oi cap out of range"):
        world.instruments.set_caps(BTC, 0, before.oi_cap_usd, sender=world.steward)
    with refused("terms: usd cap out of range"):
        world.instruments.set_caps(BTC, WAD, 0, sender=world.steward)
