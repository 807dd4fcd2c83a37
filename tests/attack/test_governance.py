"""What a governor, a guardian, a thief of their keys can do, and what nobody can (hazards G)."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from keeper.core.terms import decode
from keeper.core.types import Status
from scripts import plan
from scripts.build import ROOT
from tests.support.evm import Contract, Revert
from tests.support.refusals import refused
from tests.support.staffed import account_of, event
from tests.support.world import BTC, ETH, INSTRUMENTS, USD, WAD, World

DAY, DELAY = 86_400, 2 * 86_400
NOBODY, NONE = "0x" + "00" * 20, b"\x00" * 32
OWNER = "ownable: caller is not the owner"
FILLED = 0


@pytest.fixture
def timelock(world: World) -> Contract:
    """OpenZeppelin's, as owner of everything: the governor proposes and executes."""
    artifact = world.artifacts["Timelock"]
    governor = [world.governor]
    made = world.evm.deploy(artifact, DELAY, governor, governor, NOBODY, sender=world.governor)
    for name in plan.OWNED:
        world.contracts[name].transfer_ownership(made.address, sender=world.governor)
    return made


def test_g01_a_decision_waits_in_public_and_can_be_taken_back(
    world: World, timelock: Contract
) -> None:
    """The whole robbery in one go, as it was done elsewhere: list a coin, raise its cap. It stands
    in an event for the whole delay, and whoever may propose may take it back."""
    coin = world.evm.deploy(world.artifacts["TestToken"], "Coin", "C", 18, sender=world.governor)
    data = world.vault.list_token.encode(coin.address, 1, 200_000, 10**30, 1_000)
    operation = (world.vault.address, 0, data, NONE, NONE)
    with pytest.raises(Revert, match="TimelockInsufficientDelay"):
        timelock.schedule(*operation, DELAY - 1, sender=world.governor)
    timelock.schedule(*operation, DELAY, sender=world.governor)
    (told,) = world.evm.events("CallScheduled")
    assert (told.args[2], bytes(told.args[4])) == (world.vault.address, data)
    world.evm.warp(DELAY - 1)
    with pytest.raises(Revert, match="TimelockUnexpectedOperationState"):
        timelock.execute(*operation, sender=world.governor)
    timelock.cancel(timelock.hashOperation(*operation), sender=world.governor)
    world.evm.warp(10)
    with pytest.raises(Revert, match="TimelockUnexpectedOperationState"):
        timelock.execute(*operation, sender=world.governor)


def test_g01_the_delay_itself_waits(world: World, timelock: Contract) -> None:
    with pytest.raises(Revert, match="TimelockUnauthorizedCaller"):
        timelock.updateDelay(0, sender=world.governor)
    data = timelock.updateDelay.encode(0)
    operation = (timelock.address, 0, data, NONE, NONE)
    timelock.schedule(*operation, DELAY, sender=world.governor)
    world.evm.warp(DELAY)
    timelock.execute(*operation, sender=world.governor)
    assert timelock.getMinDelay() == 0


def test_g02_nothing_can_be_upgraded() -> None:
    """No proxy, no code that another contract supplies, no way to destroy: of no source."""
    for source in sources():
        text = source.read_text()
        for way in ("is_delegate_call", "create_", "selfdestruct", "raw_create", "delegatecall"):
            assert way not in text, f"{way} in {source.name}"


def test_g04_no_call_goes_where_a_caller_says() -> None:
    """Allowances of the contracts cannot be used by somebody's data: of raw calls, targets are
    fixed companions, and their selectors stand beside them."""
    for source in sources():
        for target, call in re.findall(
            r"raw_call\(\s*([\w.]+),(.*?)\n {4,8}\)", source.read_text(), re.S
        ):
            if (source.name, target) == ("signatures.vy", "signer"):  # a wallet's own word
                assert "is_static_call=True" in call
                assert "isValidSignature" in call
                continue
            assert target == "self" or target.split(".")[0].isupper(), (source.name, target)
            assert "method_id" in call, (source.name, target)


def test_g05_nobody_asks_who_sent_the_transaction() -> None:
    for source in sources():
        assert "tx.origin" not in source.read_text(), source.name


def sources() -> list[Path]:
    contracts = ROOT / "contracts"
    found = [*contracts.glob("*.vy"), *contracts.glob("modules/*.vy")]
    assert len(found) > 20
    return found


def reach(world: World, status: Status) -> None:
    """Bring BTC into a status by whoever can."""
    registry = world.instruments
    if status is Status.HALTED:
        registry.halt([BTC], sender=world.guardian)
    elif status < Status.DELISTING:
        registry.set_status(BTC, status, sender=world.governor)
    else:
        at = world.evm.timestamp + DAY
        registry.delist(BTC, at, sender=world.governor)
        if status > Status.DELISTING:
            world.evm.warp(at - 1 - world.evm.timestamp)
            slot = world.repost()
            if status is Status.SETTLING:
                world.markets.settle_instrument(BTC, slot, sender=world.keeper)
    assert registry.status(BTC) == status


@pytest.mark.parametrize("status", list(Status))
def test_g09_modes_times_actions(world: World, status: Status) -> None:
    """What each status of an instrument lets everybody do; I-40: in none is anybody locked in."""
    saver, trader = world.account("saver"), world.account("trader")
    victim = world.account("victim", 1)
    world.deposit(saver, 1_000)
    world.deposit(trader, 50_000)
    world.deposit(victim, 10_000)
    world.open_position(trader, BTC, 2)
    world.open_position(victim, BTC, 1)
    reach(world, status)

    # always: deposit, withdraw what is free, with a position and without
    world.deposit(trader, 10)
    for account in (saver, trader):
        owner = world.owner(account)
        world.clearinghouse.withdraw(account, 10 * USD, owner, sender=owner)
    # new risk: only while it is open
    order = world.order(trader, BTC, 1)
    if status is Status.OPEN:
        assert world.trade(trader, BTC, 1) == FILLED
    else:
        with refused("market: not open"):
            world.commit(order)
    # reducing: until it is over, and then everything ends without being asked
    if status < Status.DUE:
        assert world.trade(trader, BTC, -1) == FILLED
    else:
        with refused("market: not open"):
            world.commit(world.order(trader, BTC, -1, reduce_only=True))
        if status is Status.DUE:
            slot = world.instruments.settlement(BTC)[0]
            world.markets.settle_instrument(BTC, slot, sender=world.keeper)
        world.liquidator.settle_positions([trader], BTC, sender=world.keeper)
        assert world.size(trader, BTC) == 0
    # liquidation: while there is a price that moves
    world.post({BTC: 41_500})
    if status < Status.DUE:
        world.liquidator.liquidate(victim, BTC, 2**255, sender=world.keeper)
    else:
        assert not world.liquidator.liquidatable(victim)
    # all go home with all they have
    world.clearinghouse.withdraw(saver, 990 * USD, world.owner(saver), sender=world.owner(saver))
    assert account_of(world, saver).cash == 0


def test_g09_a_guardian_who_will_not_stop_stops_for_72_hours_in_ten_days(world: World) -> None:
    halted = 0
    for _ in range(30):
        with suppress(Revert):
            world.instruments.halt(list(INSTRUMENTS), sender=world.guardian)
        halted += world.instruments.status(BTC) == Status.HALTED
        world.evm.warp(DAY)
    assert halted == 9  # of thirty days


def test_l26_a_dearer_haircut_leaves_time(world: World) -> None:
    """A governor takes off 50 points more of what an account stands on: what it must hold to stay
    open follows by 5 points a day, what counts for new risk at once."""
    account = world.account("borrower")
    world.add_collateral(account, world.weth, 10)
    world.open_position(account, ETH, 10)
    before = world.assess(account)
    world.vault.set_haircut(world.weth.address, 620_000, sender=world.governor)
    at_once = world.assess(account)
    assert at_once.equity == before.equity
    assert at_once.maintenance == before.maintenance
    assert at_once.equity_initial < before.equity_initial
    world.wait(DAY)
    after = world.assess(account)
    assert before.equity - after.equity <= 10 * 2_500 * WAD * 51 // 1_000
    assert after.equity > int(after.maintenance)


def test_l26_a_wider_shock_leaves_time(world: World) -> None:
    """A governor doubles the least move that margin covers: at once it counts for new risk alone;
    what keeps a position open follows by a fifth of itself an hour."""
    account = world.account("holder")
    world.deposit(account, 10_000)
    world.open_position(account, BTC, 1)
    before = world.assess(account)
    gaps = tuple(world.instruments.underlying_gaps(1))
    about = list(asdict(decode(*world.instruments.terms(BTC)).underlying).values())
    about[1] *= 2
    world.instruments.set_underlying(1, tuple(about), gaps, sender=world.governor)
    at_once = world.assess(account)
    assert at_once.maintenance == before.maintenance
    assert at_once.initial > before.initial * 3 // 2
    world.wait(3_600)
    hour = world.assess(account)
    assert before.maintenance < hour.maintenance <= before.maintenance * 121 // 100
    assert not world.liquidator.liquidatable(account)
    world.wait(8 * 3_600)
    assert world.assess(account).maintenance > before.maintenance * 3 // 2  # in the end it is there


def test_l26_what_could_liquidate_waits_for_the_timelock(world: World, timelock: Contract) -> None:
    """Every setter that raises what accounts must hold belongs to the owner alone."""
    risk = (28_800, 10_000, 2_000_000, 300_000)
    gaps = tuple(world.instruments.underlying_gaps(1))
    setters: list[tuple[Any, ...]] = [
        (world.instruments.set_underlying, 1, (1, 500_000, 5_000_000, 1_000, 10**7, 1, 0), gaps),
        (world.instruments.set_risk_terms, BTC, *risk),
        (world.liquidator.set_call_terms, 999_999, 1_000_000, 0, 0),
        (world.risk_engine.set_margin_terms, 0, 500_000, 1_000_000),
        (world.vault.set_haircut, world.weth.address, 1_000_000),
        (world.markets.announce_risk_engine, world.hub.address),
    ]
    for setter, *arguments in setters:
        for key in (world.governor, world.steward, world.guardian):
            with refused(OWNER):
                setter(*arguments, sender=key)


def test_u02_migration__announced_a_week_before_and_adopted_by_both_at_once(world: World) -> None:
    """A rehearsal: accounts with positions, the same answers from the new engine, trade goes on."""
    trader = world.account("trader")
    world.deposit(trader, 50_000)
    world.open_position(trader, BTC, 1)
    other = world.evm.deploy(
        world.artifacts["RiskEngine"],
        world.governor,
        world.instruments.address,
        world.hub.address,
        world.markets.address,
        sender=world.governor,
    )
    figures = world.risk_engine.margin_terms()
    other.set_margin_terms(
        figures.upnl_ppm,
        figures.debt_maintenance_ppm,
        figures.debt_initial_ppm,
        sender=world.governor,
    )
    safety = world.markets.safety()
    at = world.evm.timestamp + 7 * 86_400
    world.markets.announce_risk_engine(other.address, sender=world.governor)
    assert event(world, "RiskEngineAnnounced").args == (other.address, at)
    assert world.markets.announced_engine() == (other.address, at)
    world.evm.warp(at - 1 - world.evm.timestamp)
    with refused("market: notice not over"):
        world.clearinghouse.adopt_risk_engine(sender=world.governor)
    assert world.clearinghouse.risk_engine() == safety[0]
    world.evm.warp(1)
    world.repost()
    before = world.assess(trader)
    world.clearinghouse.adopt_risk_engine(sender=world.governor)
    assert world.assess(trader) == before
    assert event(world, "RiskEngineChanged").args == (other.address,)
    assert event(world, "SafetyChanged").args == (other.address, *safety[1:])
    assert world.clearinghouse.risk_engine() == other.address
    assert world.markets.safety() == (other.address, *safety[1:])
    assert world.markets.announced_engine() == (NOBODY, 0)
    world.open_position(trader, BTC, -1)
    with refused("market: notice not over"):
        world.clearinghouse.adopt_risk_engine(sender=world.governor)
