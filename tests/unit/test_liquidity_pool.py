"""LiquidityPool: requests, executions, claims, every refusal, and attacks on the share; SPEC 9."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from eth_account import Account
from eth_utils import keccak

from tests.support.evm import Contract
from tests.support.refusals import refused
from tests.support.world import BTC, ETH, INSTRUMENTS, SOL, USD, World

WAD = 10**18
PPM = 10**6
SCALE = 10**12  # WAD of a native unit
V = 1_000  # virtual shares and wei
NOBODY = "0x" + "00" * 20
ENTRY, EXIT = 0, 1
MAX_AMOUNT = 2**96 - 1
DELAY, WINDOW = 30, 600
FEE_PPM, FACTOR_PPM = 1_000, 2_500_000
NO_ROOM = 3  # a reason


@pytest.fixture
def alice(world: World) -> str:
    return world.wallet("alice")


@pytest.fixture
def bob(world: World) -> str:
    return world.wallet("bob")


@pytest.fixture(scope="module")
def _hostile() -> World:
    world = World(settlement="HostileToken")
    world.endow()
    return world


@pytest.fixture
def hostile(_hostile: World) -> Iterator[World]:
    """The protocol over a settlement token that misbehaves when told to."""
    with _hostile.evm.trial():
        yield _hostile


@pytest.fixture(scope="module")
def _empty() -> World:
    return World()


@pytest.fixture
def empty(_empty: World) -> Iterator[World]:
    """The protocol before anybody has brought money to the pool."""
    with _empty.evm.trial():
        yield _empty


@pytest.fixture(autouse=True)
def _the_pool_holds_what_it_counts(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test: tokens are escrow, and its own shares are pending exits and claims."""
    names = {"world", "hostile", "empty"} & set(request.fixturenames)
    worlds: list[World] = [request.getfixturevalue(name) for name in names]
    yield
    for world in worlds:
        wallets = [world.wallet(n) for n in ("alice", "bob", "carol", "provider")]
        assert world.usdc.balanceOf(world.pool.address) == world.pool.escrow() + donated(world)
        waiting = sum(world.pool.pendingRedeemRequest(0, w) for w in wallets)
        unclaimed = sum(world.pool.maxMint(w) for w in wallets)
        assert world.pool.balanceOf(world.pool.address) == waiting + unclaimed


def donated(world: World) -> int:
    """What tests sent to the pool without a call."""
    donor = world.wallet("donor")
    return int(world.usdc.allowance(donor, world.pool.address))


def donate(world: World, amount: int) -> None:
    """Send tokens to the pool without a call; the allowance notes how much."""
    world.usdc.mint(world.pool.address, amount, sender=world.governor)
    world.usdc.approve(world.pool.address, donated(world) + amount, sender=world.wallet("donor"))


def shares_for(world: World, native: int) -> int:
    """SPEC 9.2 at the stored NAV."""
    return native * SCALE * (world.pool.totalSupply() + V) // (max(world.pool.nav(), 0) + V)


def assets_for(world: World, shares: int) -> int:
    """SPEC 9.2 at the stored NAV, in native units."""
    nav = max(world.pool.nav(), 0)
    return shares * (nav + V) // (world.pool.totalSupply() + V) // SCALE


def own(world: World, holder: str, usd: int) -> int:
    """Shares of a holder who has entered with this."""
    return world.enter_pool(holder, usd)


def exit_all(world: World, holder: str, min_assets: int = 0) -> int:
    shares = world.pool.balanceOf(holder)
    world.pool.requestRedeem(shares, holder, holder, min_assets, sender=holder)
    return int(shares)


def make_due(world: World) -> int:
    return world.wait(DELAY)


def whale(world: World, instrument: int, size: int, cash: int = 2_000_000) -> bytes:
    """An account with a large position against the pool."""
    account = world.account("whale")
    world.deposit(account, cash)
    world.open_position(account, instrument, size)
    return account


# -- requests


def test_request_deposit__takes_the_assets_and_waits(world: World, alice: str) -> None:
    world.mint(world.usdc, alice, 500 * USD, world.pool)
    request_id = world.pool.requestDeposit(500 * USD, alice, alice, 7, sender=alice)
    assert request_id == 0
    (scheduled,) = world.evm.events("RequestScheduled")
    now = world.evm.timestamp
    due = now + DELAY
    assert tuple(scheduled.args) == (alice, ENTRY, 500 * USD, 7, due, due + WINDOW)
    (requested,) = world.evm.events("DepositRequest")
    assert tuple(requested.args) == (alice, alice, 0, alice, 500 * USD)
    assert world.pool.pendingDepositRequest(0, alice) == 500 * USD
    assert tuple(world.pool.request(ENTRY, alice)) == (due, due + WINDOW, 500 * USD, 7)
    assert world.pool.escrow() == 500 * USD
    assert world.usdc.balanceOf(alice) == 0
    assert world.pool.totalSupply() == world.pool.balanceOf(world.provider)


def test_request_redeem__takes_the_shares_and_waits(world: World, alice: str) -> None:
    shares = own(world, alice, 500)
    supply = world.pool.totalSupply()
    world.pool.requestRedeem(shares - 1, alice, alice, 9, sender=alice)
    (requested,) = world.evm.events("RedeemRequest")
    assert tuple(requested.args) == (alice, alice, 0, alice, shares - 1)
    due = world.evm.timestamp + DELAY
    assert tuple(world.pool.request(EXIT, alice)) == (due, due + WINDOW, shares - 1, 9)
    assert world.pool.pendingRedeemRequest(0, alice) == shares - 1
    assert world.pool.balanceOf(alice) == 1
    assert world.pool.totalSupply() == supply


def test_requests__refusals_change_nothing(world: World, alice: str, bob: str) -> None:
    shares = own(world, alice, 500)
    world.mint(world.usdc, alice, 500 * USD, world.pool)

    def state() -> Any:
        return (
            world.usdc.balanceOf(alice),
            world.pool.balanceOf(alice),
            world.pool.escrow(),
            world.pool.request(ENTRY, alice),
            world.pool.request(EXIT, alice),
            world.pool.request(ENTRY, bob),
        )

    before = state()
    with refused("pool: amount is zero"):
        world.pool.requestDeposit(0, alice, alice, sender=alice)
    with refused("pool: amount is zero"):
        world.pool.requestRedeem(0, alice, alice, sender=alice)
    with refused("pool: amount too large"):
        world.pool.requestDeposit(MAX_AMOUNT + 1, alice, alice, sender=alice)
    with refused("pool: amount too large"):
        world.pool.requestDeposit(1, alice, alice, MAX_AMOUNT + 1, sender=alice)
    with refused("pool: amount too large"):
        world.pool.requestRedeem(1, alice, alice, 2**256 - 1, sender=alice)
    with refused("pool: not the owner"):
        world.pool.requestDeposit(1, bob, alice, sender=bob)
    with refused("pool: not the controller"):
        world.pool.requestDeposit(1, bob, alice, sender=alice)
    with refused("pool: not the controller"):
        world.pool.requestRedeem(1, bob, alice, sender=alice)
    with refused("erc20: insufficient allowance"):
        world.pool.requestRedeem(1, bob, alice, sender=bob)
    with refused("erc20: transfer amount exceeds balance"):
        world.pool.requestRedeem(shares + 1, alice, alice, sender=alice)
    with refused(f"ERC20InsufficientBalance({alice}, {500 * USD}, {500 * USD + 1})"):
        world.pool.requestDeposit(500 * USD + 1, alice, alice, sender=alice)
    assert state() == before


def test_requests__one_pending_in_each_direction(world: World, alice: str) -> None:
    shares = own(world, alice, 500)
    world.request_entry(alice, 100)
    with refused("pool: request pending"):
        world.pool.requestDeposit(1, alice, alice, sender=alice)
    world.pool.requestRedeem(shares // 2, alice, alice, sender=alice)
    with refused("pool: request pending"):
        world.pool.requestRedeem(1, alice, alice, sender=alice)
    world.execute_requests(entries=[alice], exits=[alice])
    world.request_entry(alice, 100)  # what was executed may still wait for its claim
    world.pool.requestRedeem(1, alice, alice, sender=alice)


def test_requests__nothing_before_timing_is_set(world: World, alice: str) -> None:
    pool = world.evm.deploy(
        world.artifacts["LiquidityPool"],
        world.governor,
        world.usdc.address,
        world.clearinghouse.address,
        world.markets.address,
        world.debts.address,
        sender=world.governor,
    )
    world.mint(world.usdc, alice, 5, pool)
    with refused("pool: no delay set"):
        pool.requestDeposit(5, alice, alice, sender=alice)


def test_operators__may_request_and_claim_for_whoever_made_them(
    world: World, alice: str, bob: str
) -> None:
    world.mint(world.usdc, alice, 500 * USD, world.pool)
    assert world.pool.setOperator(bob, True, sender=alice) is True
    (event,) = world.evm.events("OperatorSet")
    assert tuple(event.args) == (alice, bob, True)
    world.pool.requestDeposit(500 * USD, alice, alice, sender=bob)
    (requested,) = world.evm.events("DepositRequest")
    assert tuple(requested.args) == (alice, alice, 0, bob, 500 * USD)
    world.execute_requests(entries=[alice])
    shares = world.pool.deposit(500 * USD, alice, alice, sender=bob)
    world.pool.requestRedeem(shares, alice, alice, sender=bob)
    world.execute_requests(exits=[alice])
    world.pool.setOperator(bob, False, sender=alice)
    with refused("pool: not the controller"):
        world.pool.redeem(shares, bob, alice, sender=bob)
    world.pool.redeem(shares, alice, alice, sender=alice)


def test_request_redeem__by_allowance_the_spender_is_the_controller(
    world: World, alice: str, bob: str
) -> None:
    shares = own(world, alice, 500)
    world.pool.approve(bob, shares, sender=alice)
    world.pool.requestRedeem(shares, bob, alice, sender=bob)
    assert world.pool.allowance(alice, bob) == 0
    assert world.pool.pendingRedeemRequest(0, bob) == shares


# -- executing entries


def test_execute__an_entry_gets_shares_at_the_nav_of_the_moment(world: World, alice: str) -> None:
    whale(world, BTC, 40)
    world.request_entry(alice, 5_000)
    world.evm.warp(DELAY)
    world.post({BTC: 51_000, ETH: 2_500, SOL: 100})  # the pool has lost some 40,000
    line, supply = world.markets.ledger()[0], world.pool.totalSupply()
    world.pool.execute([alice], [], sender=world.keeper)
    (done,) = world.evm.events("RequestExecuted")
    nav = world.pool.nav() - 5_000 * WAD
    assert nav < supply  # a share costs less than 1
    shares = 5_000 * WAD * (supply + V) // (nav + V)
    assert shares > 5_000 * WAD
    assert tuple(done.args) == (
        alice, ENTRY, 5_000 * USD, shares, nav + 5_000 * WAD, supply + shares,
    )  # fmt: skip
    assert world.markets.ledger()[0] - line == pytest.approx(5_000 * WAD, abs=10 * WAD)
    assert world.pool.totalSupply() == supply + shares
    assert world.pool.escrow() == 0
    assert world.pool.pendingDepositRequest(0, alice) == 0
    assert world.pool.claimableDepositRequest(0, alice) == 5_000 * USD
    assert (world.pool.maxDeposit(alice), world.pool.maxMint(alice)) == (5_000 * USD, shares)
    assert world.pool.balanceOf(alice) == 0


def test_execute__the_first_share_costs_one(empty: World) -> None:
    alice = empty.wallet("alice")
    empty.request_entry(alice, "123.456789")
    empty.execute_requests(entries=[alice])
    assert empty.pool.maxMint(alice) == 123_456_789 * SCALE
    assert empty.pool.nav() == 123_456_789 * SCALE
    assert empty.pool.totalAssets() == 123_456_789


def test_p12_an_entry_below_its_minimum_is_returned_in_full(world: World, alice: str) -> None:
    fair = shares_for(world, 500 * USD)
    world.request_entry(alice, 500, min_shares=fair + 1)
    supply, nav = world.pool.totalSupply(), world.pool.nav()
    world.execute_requests(entries=[alice])
    (returned,) = world.evm.events("RequestReturned")
    assert tuple(returned.args) == (alice, ENTRY, 1, 500 * USD, 0, supply)
    assert (world.pool.totalSupply(), world.pool.nav()) == (supply, nav)
    assert world.pool.returned(alice) == 500 * USD == world.pool.escrow()
    assert world.pool.maxDeposit(alice) == 0
    assert world.pool.claim_returned(alice, sender=alice) == 500 * USD
    assert world.usdc.balanceOf(alice) == 500 * USD
    world.request_entry(alice, 500, min_shares=fair)
    world.execute_requests(entries=[alice])
    assert world.pool.maxMint(alice) == fair


def test_execute__nobody_enters_a_pool_that_owes(world: World, alice: str) -> None:
    whale(world, BTC, 120)
    world.request_entry(alice, 500)
    world.evm.warp(DELAY)
    world.post({BTC: 140_000, ETH: 2_500, SOL: 100})
    world.pool.execute([alice], [], sender=world.keeper)
    assert world.pool.nav() < 0
    assert world.pool.totalAssets() == 0
    assert world.pool.returned(alice) == 500 * USD
    assert world.pool.preview_request(ENTRY, 500 * USD) == (0, 0)


# -- executing exits


def test_execute__an_exit_gets_assets_at_the_nav_of_the_moment(world: World, alice: str) -> None:
    own(world, alice, 5_000)
    whale(world, BTC, 40)
    shares = exit_all(world, alice)
    world.evm.warp(DELAY)
    world.post({BTC: 49_000, ETH: 2_500, SOL: 100})  # the pool has won some 40,000
    supply = world.pool.totalSupply()
    world.pool.execute([], [alice], sender=world.keeper)
    (done,) = world.evm.events("RequestExecuted")
    assets = world.pool.maxWithdraw(alice)
    nav = world.pool.nav() + assets * SCALE
    assert assets == shares * (nav + V) // (supply + V) // SCALE
    assert assets > 5_000 * USD
    assert tuple(done.args) == (
        alice, EXIT, shares, assets, nav - assets * SCALE, supply - shares,
    )  # fmt: skip
    assert world.pool.escrow() == assets
    assert world.pool.claimableRedeemRequest(0, alice) == shares
    assert world.pool.maxRedeem(alice) == shares
    assert world.usdc.balanceOf(alice) == 0


def test_p12_an_exit_below_its_minimum_is_returned_in_full(world: World, alice: str) -> None:
    own(world, alice, 5_000)
    shares = world.pool.balanceOf(alice)
    fair = assets_for(world, shares)
    exit_all(world, alice, min_assets=fair + 1)
    supply = world.pool.totalSupply()
    world.execute_requests(exits=[alice])
    (returned,) = world.evm.events("RequestReturned")
    assert tuple(returned.args) == (alice, EXIT, 1, shares, 0, supply)
    assert world.pool.balanceOf(alice) == shares
    exit_all(world, alice, min_assets=fair)
    world.execute_requests(exits=[alice])
    assert world.pool.maxWithdraw(alice) == fair


def test_execute__an_exit_goes_as_far_as_the_requirement_allows(world: World, alice: str) -> None:
    world.pool.set_exit_terms(10_000_000, FEE_PPM, sender=world.governor)
    whale(world, BTC, 120)
    held = world.provider
    shares = exit_all(world, held, min_assets=5 * 10**12)
    make_due(world)
    supply = world.pool.totalSupply()
    world.pool.execute([], [held], sender=world.keeper)
    (done,) = world.evm.events("RequestExecuted")
    requirement = world.markets.ledger()[4]
    kept = -(-requirement * 10_000_000 // PPM)
    assets, executed = done.args.out, done.args.amount
    nav = world.pool.nav() + assets * SCALE
    assert executed == (nav - kept) * (supply + V) // (nav + V) < shares
    assert world.pool.nav() >= kept
    assert world.pool.nav() - kept < 2 * SCALE  # and not further from it than rounding
    (returned,) = world.evm.events("RequestReturned")
    rest = shares - executed
    assert tuple(returned.args) == (held, EXIT, NO_ROOM, rest, 0, supply - executed)
    assert world.pool.balanceOf(held) == rest
    assert world.pool.pendingRedeemRequest(0, held) == 0

    # when the position goes, so may the rest, by a new request
    world.open_position(world.account("whale"), BTC, -120)
    exit_all(world, held)
    world.execute_requests(exits=[held])
    assert world.pool.maxRedeem(held) == shares


def test_execute__an_exit_goes_as_far_as_the_tokens_are_not_lent(world: World, alice: str) -> None:
    debtor = world.account("debtor")
    world.add_collateral(debtor, world.weth, 50)
    owner = world.owner(debtor)
    world.debts.set_curve(0, 800_000, 0, 0, 0, sender=world.governor)
    world.clearinghouse.withdraw(debtor, 90_000 * USD, owner, sender=owner)
    assert world.debts.total() == 90_000 * WAD
    exit_all(world, world.provider)
    world.execute_requests(exits=[world.provider])
    line = world.markets.ledger()[0]
    assert world.pool.maxWithdraw(world.provider) == (POOL_LINE - 90_000 * WAD) // SCALE
    assert 0 <= line - 90_000 * WAD < SCALE
    world.deposit(debtor, 90_000)
    exit_all(world, world.provider)
    world.execute_requests(exits=[world.provider])
    assert world.pool.totalSupply() == 0


POOL_LINE = 10_000_000 * WAD


def test_execute__a_part_of_an_exit_must_bring_its_part_of_the_minimum(
    world: World,
) -> None:
    world.pool.set_exit_terms(10_000_000, FEE_PPM, sender=world.governor)
    whale(world, BTC, 120)
    shares = world.pool.balanceOf(world.provider)
    fair = assets_for(world, shares)
    exit_all(world, world.provider, min_assets=fair * 101 // 100)
    world.execute_requests(exits=[world.provider])
    (returned,) = world.evm.events("RequestReturned")
    assert returned.args.amount == shares
    assert world.pool.balanceOf(world.provider) == shares


def test_execute__an_exit_worth_less_than_a_native_unit_is_returned(
    world: World, alice: str
) -> None:
    own(world, alice, 5)
    world.pool.requestRedeem(SCALE - 1, alice, alice, sender=alice)
    world.execute_requests(exits=[alice])
    (returned,) = world.evm.events("RequestReturned")
    assert (returned.args.amount, returned.args.fee) == (SCALE - 1, 0)
    assert world.pool.pendingRedeemRequest(0, alice) == 0


# -- when an execution is possible


def test_execute__neither_before_due_nor_after_the_window(world: World, alice: str) -> None:
    with refused("pool: no request is due"):
        world.pool.execute([], [], sender=world.keeper)
    with refused("pool: no request is due"):
        world.pool.execute([alice], [alice], sender=world.keeper)
    world.request_entry(alice, 500)
    world.wait(DELAY - 1)
    with refused("pool: no request is due"):
        world.pool.execute([alice], [], sender=world.keeper)
    with world.evm.trial():
        world.wait(1)
        world.pool.execute([alice], [], sender=world.keeper)
    with world.evm.trial():
        world.wait(WINDOW + 1)
        world.pool.execute([alice], [], sender=world.keeper)
    world.wait(WINDOW + 2)
    with refused("pool: no request is due"):
        world.pool.execute([alice], [], sender=world.keeper)
    assert world.pool.pendingDepositRequest(0, alice) == 500 * USD


def open_everywhere(world: World) -> None:
    """A position in every instrument: the pool has no worth without their prices."""
    trader = world.account("trader")
    world.deposit(trader, 10_000)
    for instrument, size in ((BTC, "0.1"), (ETH, 1), (SOL, 10)):
        world.open_position(trader, instrument, size)


def test_execute__at_prices_of_a_slot_at_or_after_due_and_fresh(world: World, alice: str) -> None:
    open_everywhere(world)
    world.request_entry(alice, 500)
    world.wait(DELAY - 1)
    world.evm.warp(1)
    with refused("market: price before request"):
        world.pool.execute([alice], [], sender=world.keeper)
    world.post({BTC: 50_000, SOL: 100})
    with refused("market: price before request"):  # every feed in use must be there
        world.pool.execute([alice], [], sender=world.keeper)
    world.evm.warp(121)
    with refused("oracle: stale price"):
        world.pool.execute([alice], [], sender=world.keeper)
    world.repost()
    world.pool.execute([alice], [], sender=world.keeper)


def test_execute__a_request_that_waits_is_left_alone_in_a_batch(
    world: World, alice: str, bob: str
) -> None:
    world.request_entry(alice, 500)
    world.wait(DELAY)
    world.request_entry(bob, 500)
    world.pool.execute([bob, alice, bob], [bob], sender=world.keeper)
    assert [e.args.controller for e in world.evm.events("RequestExecuted")] == [alice]
    assert world.pool.pendingDepositRequest(0, bob) == 500 * USD


def test_execute__a_name_given_twice_counts_once(world: World, alice: str) -> None:
    own(world, alice, 500)
    exit_all(world, alice)
    world.request_entry(alice, 300)
    make_due(world)
    assert world.pool.execute([alice, alice], [alice, alice], sender=world.keeper) == (
        300 * USD,
        world.pool.maxWithdraw(alice),
    )
    assert len(world.evm.events("RequestExecuted")) == 2


def test_execute__several_at_one_nav_get_what_each_would_alone(
    world: World, alice: str, bob: str
) -> None:
    carol = world.wallet("carol")
    own(world, carol, 70_000)
    own(world, alice, 33_333)
    whale(world, ETH, -700)
    for name, usd in ((alice, "12345.678901"), (bob, "0.000001")):
        world.request_entry(name, usd)
    exit_all(world, carol)
    exit_all(world, alice)
    make_due(world)
    world.post({BTC: 50_000, ETH: "2512.34567", SOL: 100})

    def outcome() -> Any:
        entries = [world.pool.maxMint(name) for name in (alice, bob)]
        exits = [world.pool.maxWithdraw(name) for name in (carol, alice)]
        return (
            entries,
            exits,
            world.pool.nav(),
            world.pool.totalSupply(),
            world.markets.ledger()[0],
        )

    with world.evm.trial():
        world.pool.execute([alice, bob], [carol, alice], sender=world.keeper)
        assert all(e.args.nav > 0 for e in world.evm.events("RequestExecuted"))
        assert world.evm.events("RequestExecuted")[-1].args.nav == world.pool.nav()
        together = outcome()
    for entries, exits in (([alice], []), ([bob], []), ([], [carol]), ([], [alice])):
        world.pool.execute(entries, exits, sender=world.keeper)
    assert outcome() == together
    assert together[0][1] > 0


def test_p13_several_exits_share_the_room(world: World, alice: str) -> None:
    own(world, alice, 8_000_000)
    world.pool.set_exit_terms(10_000_000, FEE_PPM, sender=world.governor)
    whale(world, BTC, 120)
    exit_all(world, alice)
    exit_all(world, world.provider)
    make_due(world)
    world.pool.execute([], [alice, world.provider], sender=world.keeper)
    kept = world.markets.ledger()[4] * 10
    assert 0 <= world.pool.nav() - kept < 2 * SCALE
    assert world.pool.pendingRedeemRequest(0, alice) == 0
    (returned,) = world.evm.events("RequestReturned")
    assert returned.args.controller == world.provider
    assert returned.args.reason == NO_ROOM
    assert world.pool.maxRedeem(world.provider) > 0


def test_execute__the_latest_due_in_a_batch_asks_for_its_prices(
    world: World, alice: str, bob: str
) -> None:
    """Whatever the order of the names, nobody is executed at prices from before his due time."""
    open_everywhere(world)
    world.request_entry(alice, 500)
    world.evm.warp(10)
    world.request_entry(bob, 500)
    world.wait(DELAY - 5)
    world.evm.warp(5)
    for names in ([alice, bob], [bob, alice]):
        with refused("market: price before request"):
            world.pool.execute(names, [], sender=world.keeper)
    world.pool.execute([alice], [], sender=world.keeper)
    world.repost()
    world.pool.execute([bob], [], sender=world.keeper)


# -- lapse


def test_lapse__an_entry_comes_back_less_the_fee(world: World, alice: str) -> None:
    world.request_entry(alice, "500.000001")
    supply, line = world.pool.totalSupply(), world.markets.ledger()[0]
    world.evm.warp(DELAY + WINDOW)
    assert world.pool.lapse([alice], [], sender=world.keeper) == 0
    assert world.pool.pendingDepositRequest(0, alice) == 500_000_001
    world.evm.warp(1)
    fee = -(-500_000_001 * FEE_PPM // PPM)
    assert world.pool.lapse([alice, alice], [], sender=world.keeper) == fee
    (returned,) = world.evm.events("RequestReturned")
    assert tuple(returned.args) == (alice, ENTRY, 2, 500_000_001 - fee, fee, supply)
    assert world.markets.ledger()[0] == line + fee * SCALE
    assert world.pool.escrow() == world.pool.returned(alice) == 500_000_001 - fee
    assert world.pool.totalSupply() == supply
    assert world.pool.claim_returned(alice, sender=alice) == 500_000_001 - fee


def test_lapse__an_exit_comes_back_less_burned_shares(world: World, alice: str) -> None:
    own(world, alice, 500)
    shares = exit_all(world, alice)
    supply, nav = world.pool.totalSupply(), world.pool.nav()
    world.evm.warp(DELAY + WINDOW)
    world.pool.lapse([], [alice], sender=world.keeper)
    assert world.pool.pendingRedeemRequest(0, alice) == shares
    world.evm.warp(1)
    fee = -(-shares * FEE_PPM // PPM)
    assert world.pool.lapse([], [alice], sender=world.keeper) == 0
    (returned,) = world.evm.events("RequestReturned")
    assert tuple(returned.args) == (alice, EXIT, 2, shares - fee, fee, supply - fee)
    assert world.pool.balanceOf(alice) == shares - fee
    assert (world.pool.totalSupply(), world.pool.nav()) == (supply - fee, nav)
    with refused("pool: no request is due"):
        world.pool.execute([], [alice], sender=world.keeper)


def test_lapse__needs_no_price(world: World, alice: str) -> None:
    world.request_entry(alice, 500)
    world.evm.warp(30 * 86_400)
    assert world.pool.lapse([alice], [], sender=world.keeper) > 0


@pytest.mark.parametrize("late", [0, 1], ids=["prompt", "late"])
def test_execute__what_does_not_fit_comes_back_whole_unless_late(world: World, late: int) -> None:
    world.pool.set_exit_terms(10_000_000, FEE_PPM, sender=world.governor)
    whale(world, BTC, 120)
    shares = exit_all(world, world.provider)
    world.wait(DELAY + WINDOW // 8 + late)
    world.pool.execute([], [world.provider], sender=world.keeper)
    rest = shares - world.pool.maxRedeem(world.provider)
    fee = late * -(-rest * FEE_PPM // PPM)
    (returned,) = world.evm.events("RequestReturned")
    assert tuple(returned.args)[2:5] == (NO_ROOM, rest - fee, fee)
    assert world.pool.balanceOf(world.provider) == rest - fee
    assert world.pool.totalSupply() == rest - fee


def test_execute__no_room_at_all__all_comes_back(world: World) -> None:
    world.debts.set_ceilings(10**7 * WAD, 500_000, sender=world.governor)
    debtor = world.account("debtor")
    world.add_collateral(debtor, world.weth, 3_000)
    owner = world.owner(debtor)
    world.clearinghouse.withdraw(debtor, 5_000_000 * USD, owner, sender=owner)
    exit_all(world, world.provider)
    world.execute_requests(exits=[world.provider])  # half, as far as it is not lent
    rest = exit_all(world, world.provider)
    make_due(world)
    assert world.pool.execute([], [world.provider], sender=world.keeper) == (0, 0)
    (returned,) = world.evm.events("RequestReturned")
    assert tuple(returned.args)[2:5] == (NO_ROOM, rest, 0)
    assert world.evm.events("RequestExecuted") == []


@pytest.mark.parametrize("late", [0, 1], ids=["prompt", "late"])
def test_execute__below_the_minimum_comes_back_whole_unless_late(
    world: World, alice: str, bob: str, late: int
) -> None:
    shares = own(world, bob, 5_000)
    line = world.markets.ledger()[0]
    world.request_entry(alice, "500.000001", min_shares=10**28)
    exit_all(world, bob, min_assets=10**20)
    world.wait(DELAY + WINDOW // 8 + late)
    assert world.pool.execute([alice], [bob], sender=world.keeper) == (0, 0)
    fee = late * -(-500_000_001 * FEE_PPM // PPM)
    entry, left = world.evm.events("RequestReturned")
    assert tuple(entry.args)[2:5] == (1, 500_000_001 - fee, fee)
    assert world.markets.ledger()[0] == line + fee * SCALE
    assert world.pool.escrow() == world.pool.returned(alice) == 500_000_001 - fee
    burned = late * -(-shares * FEE_PPM // PPM)
    assert tuple(left.args)[2:5] == (1, shares - burned, burned)
    assert world.pool.balanceOf(bob) == shares - burned


def test_lapse__waiting_requests_and_strangers_are_left_alone(
    world: World, alice: str, bob: str
) -> None:
    world.request_entry(alice, 500)
    assert world.pool.lapse([alice, bob], [alice, bob], sender=world.keeper) == 0
    assert world.evm.events() == []
    assert world.pool.pendingDepositRequest(0, alice) == 500 * USD


def test_lapse__delay_and_window_are_those_of_the_request(world: World, alice: str) -> None:
    world.request_entry(alice, 500)
    world.pool.set_timing(86_400, 60, sender=world.governor)
    world.wait(DELAY + WINDOW)
    assert world.pool.lapse([alice], [], sender=world.keeper) == 0
    world.pool.execute([alice], [], sender=world.keeper)


# -- claims


def entered(world: World, holder: str, usd: int | str = 500) -> tuple[int, int]:
    """An executed entry: (assets, shares) claimable."""
    world.request_entry(holder, usd)
    world.execute_requests(entries=[holder])
    return world.pool.maxDeposit(holder), world.pool.maxMint(holder)


def left(world: World, holder: str, usd: int | str = 500) -> tuple[int, int]:
    """An executed exit: (shares, assets) claimable."""
    world.enter_pool(holder, usd)
    exit_all(world, holder)
    world.execute_requests(exits=[holder])
    return world.pool.maxRedeem(holder), world.pool.maxWithdraw(holder)


def test_deposit__hands_the_shares_to_any_receiver(world: World, alice: str, bob: str) -> None:
    assets, shares = entered(world, alice)
    assert world.pool.deposit(assets, bob, sender=alice) == shares
    (event,) = world.evm.events("Deposit")
    assert tuple(event.args) == (alice, bob, assets, shares)
    assert world.pool.balanceOf(bob) == shares
    assert (world.pool.maxDeposit(alice), world.pool.maxMint(alice)) == (0, 0)


def test_redeem__hands_the_assets_to_any_receiver(world: World, alice: str, bob: str) -> None:
    shares, assets = left(world, alice)
    assert world.pool.redeem(shares, bob, alice, sender=alice) == assets
    (event,) = world.evm.events("Withdraw")
    assert tuple(event.args) == (alice, bob, alice, assets, shares)
    assert world.usdc.balanceOf(bob) == assets
    assert (world.pool.maxRedeem(alice), world.pool.maxWithdraw(alice)) == (0, 0)


def test_claims__in_parts_give_the_same_in_all_and_round_against_the_claimer(
    world: World, alice: str
) -> None:
    whale(world, BTC, 30)
    world.post({BTC: "50321.987", ETH: 2_500, SOL: 100})
    assets, shares = entered(world, alice, "500.000007")
    got = world.pool.deposit(assets // 3, alice, sender=alice)
    assert got == shares * (assets // 3) // assets
    a, s = assets - assets // 3, shares - got
    used = world.pool.mint(s // 7, alice, sender=alice)
    assert used == -(-(s // 7) * a // s)
    a, s = a - used, s - s // 7
    assert (world.pool.maxDeposit(alice), world.pool.maxMint(alice)) == (a, s)
    world.pool.deposit(a, alice, sender=alice)
    assert world.pool.balanceOf(alice) == shares

    exit_all(world, alice)
    world.execute_requests(exits=[alice])
    shares, assets = world.pool.maxRedeem(alice), world.pool.maxWithdraw(alice)
    used = world.pool.withdraw(assets // 3, alice, sender=alice)
    assert used == -(-(assets // 3) * shares // assets)
    s, a = shares - used, assets - assets // 3
    got = world.pool.redeem(s // 7, alice, sender=alice)
    assert got == s // 7 * a // s
    world.pool.withdraw(a - got, alice, sender=alice)
    assert world.usdc.balanceOf(alice) == assets


def test_claims__nothing_stays_behind_after_rounding(world: World, alice: str) -> None:
    assets, shares = entered(world, alice, "0.000003")
    assert assets == 3
    world.pool.mint(shares - 1, alice, sender=alice)  # uses up all assets, up
    assert (world.pool.maxDeposit(alice), world.pool.maxMint(alice)) == (0, 1)
    assert world.pool.mint(1, alice, sender=alice) == 0
    assert world.pool.balanceOf(alice) == shares


def test_claims__what_is_executed_later_adds_up(world: World, alice: str) -> None:
    first = entered(world, alice, 500)
    whale(world, BTC, 100)
    world.post({BTC: 48_000, ETH: 2_500, SOL: 100})
    both = entered(world, alice, 300)
    assert both[0] == first[0] + 300 * USD
    assert first[1] < both[1] < first[1] + 300 * WAD  # a share costs more than 1 now
    assert world.pool.deposit(both[0], alice, sender=alice) == both[1]


def test_claims__refusals_change_nothing(world: World, alice: str, bob: str) -> None:
    assets, shares = entered(world, alice)
    out_shares, out_assets = left(world, bob)

    def state() -> Any:
        pool = world.pool
        return [
            (pool.maxDeposit(w), pool.maxMint(w), pool.maxRedeem(w), pool.maxWithdraw(w))
            for w in (alice, bob)
        ], pool.escrow()

    before = state()
    for claim, most in (("deposit", assets), ("mint", shares)):
        with refused("pool: not the controller"):
            getattr(world.pool, claim)(1, bob, alice, sender=bob)
        with refused("pool: amount is zero"):
            getattr(world.pool, claim)(0, alice, sender=alice)
        with refused("pool: more than claimable"):
            getattr(world.pool, claim)(most + 1, alice, sender=alice)
        with refused("pool: more than claimable"):
            getattr(world.pool, claim)(1, bob, sender=bob)
    for claim, most in (("redeem", out_shares), ("withdraw", out_assets)):
        with refused("pool: not the controller"):
            getattr(world.pool, claim)(1, alice, bob, sender=alice)
        with refused("pool: amount is zero"):
            getattr(world.pool, claim)(0, bob, bob, sender=bob)
        with refused("pool: more than claimable"):
            getattr(world.pool, claim)(most + 1, bob, bob, sender=bob)
        with refused("pool: more than claimable"):
            getattr(world.pool, claim)(2**256 - 1, bob, bob, sender=bob)
    assert state() == before


def test_claims__pay_once(world: World, alice: str) -> None:
    assets, _ = entered(world, alice)
    world.pool.deposit(assets, alice, sender=alice)
    with refused("pool: more than claimable"):
        world.pool.deposit(assets, alice, sender=alice)
    shares, _ = left(world, world.wallet("bob"))
    bob = world.wallet("bob")
    world.pool.redeem(shares, bob, sender=bob)
    with refused("pool: more than claimable"):
        world.pool.redeem(shares, bob, sender=bob)


def test_claim_returned__to_whom_the_controller_says_and_once(
    world: World, alice: str, bob: str
) -> None:
    world.request_entry(alice, 500, min_shares=10**28)
    world.execute_requests(entries=[alice])
    with refused("pool: not the controller"):
        world.pool.claim_returned(bob, alice, sender=bob)
    assert world.pool.claim_returned(bob, alice, sender=alice) == 500 * USD
    (event,) = world.evm.events("ReturnClaimed")
    assert tuple(event.args) == (alice, bob, 500 * USD)
    assert world.usdc.balanceOf(bob) == 500 * USD
    with refused("pool: amount is zero"):
        world.pool.claim_returned(bob, alice, sender=alice)


def test_claims__need_no_price(world: World, alice: str) -> None:
    assets, shares = entered(world, alice)
    world.evm.warp(30 * 86_400)
    assert world.pool.deposit(assets, alice, sender=alice) == shares


# -- setters


def test_set_timing__bounds_and_owner(world: World, alice: str) -> None:
    pool, governor = world.pool, world.governor
    with refused("ownable: caller is not the owner"):
        pool.set_timing(60, 600, sender=alice)
    for delay in (9, 604_801):
        with refused("pool: delay out of range"):
            pool.set_timing(delay, 600, sender=governor)
    for window in (59, 2_592_001):
        with refused("pool: window out of range"):
            pool.set_timing(60, window, sender=governor)
    pool.set_timing(604_800, 2_592_000, sender=governor)
    (event,) = world.evm.events("TimingChanged")
    assert tuple(event.args) == (604_800, 2_592_000)
    assert tuple(pool.policy()) == (604_800, 2_592_000, FACTOR_PPM, FEE_PPM)


def test_set_exit_terms__bounds_and_owner(world: World, alice: str) -> None:
    pool, governor = world.pool, world.governor
    with refused("ownable: caller is not the owner"):
        pool.set_exit_terms(PPM, 0, sender=alice)
    for factor in (PPM - 1, 10 * PPM + 1):
        with refused("pool: factor out of range"):
            pool.set_exit_terms(factor, 0, sender=governor)
    with refused("pool: fee out of range"):
        pool.set_exit_terms(PPM, 50_001, sender=governor)
    pool.set_exit_terms(10 * PPM, 50_000, sender=governor)
    (event,) = world.evm.events("ExitTermsChanged")
    assert tuple(event.args) == (10 * PPM, 50_000)
    assert tuple(pool.policy()) == (DELAY, WINDOW, 10 * PPM, 50_000)


# -- the standards


def test_views__of_erc_4626_and_erc_7540(world: World, alice: str) -> None:
    pool = world.pool
    assert pool.asset() == world.usdc.address
    assert pool.share() == pool.address
    assert (pool.name(), pool.symbol(), pool.decimals()) == ("Ballast Liquidity", "BLP", 18)
    assert pool.totalAssets() == max(pool.nav(), 0) // SCALE
    assert pool.convertToShares(7 * USD) == shares_for(world, 7 * USD)
    assert pool.convertToAssets(7 * WAD) == assets_for(world, 7 * WAD)
    for known in ("01ffc9a7", "2f0a18c5", "e3bc4e65", "ce3bbe50", "620ee8e4"):
        assert pool.supportsInterface(bytes.fromhex(known)) is True
    assert pool.supportsInterface(bytes.fromhex("ffffffff")) is False
    for preview in ("previewDeposit", "previewMint", "previewRedeem", "previewWithdraw"):
        with refused("pool: requests only"):
            getattr(pool, preview)(1)
    world.request_entry(alice, 500)
    assert pool.pendingDepositRequest(1, alice) == 0
    assert pool.claimableRedeemRequest(1, alice) == 0


def test_views__answer_when_prices_are_old(world: World, alice: str) -> None:
    whale(world, BTC, 40)
    world.evm.warp(365 * 86_400)
    world.pool.nav()
    world.pool.totalAssets()
    world.pool.convertToShares(1)
    world.pool.preview_request(ENTRY, 5)
    world.pool.preview_request(EXIT, 5)
    assert world.pool.request(ENTRY, alice).amount == 0


def test_preview_request__equals_the_execution(world: World, alice: str, bob: str) -> None:
    own(world, alice, 700)
    shares = exit_all(world, alice)
    world.request_entry(bob, 900)
    whale(world, SOL, 9_000)
    make_due(world)
    world.post({BTC: 50_000, ETH: 2_500, SOL: "101.2345"})
    world.markets.accrue(list(INSTRUMENTS), sender=world.keeper)
    entry = world.pool.preview_request(ENTRY, 900 * USD)
    exit_ = world.pool.preview_request(EXIT, shares)
    with world.evm.trial():
        world.pool.execute([bob], [], sender=world.keeper)
        assert (world.pool.maxDeposit(bob), world.pool.maxMint(bob)) == entry
    world.pool.execute([], [alice], sender=world.keeper)
    assert (world.pool.maxRedeem(alice), world.pool.maxWithdraw(alice)) == exit_


def test_preview_request__shows_how_far_an_exit_would_go(world: World) -> None:
    world.pool.set_exit_terms(10_000_000, FEE_PPM, sender=world.governor)
    whale(world, BTC, 120)
    shares = exit_all(world, world.provider)
    make_due(world)
    world.markets.accrue(list(INSTRUMENTS), sender=world.keeper)
    served, assets = world.pool.preview_request(EXIT, shares)
    assert served < shares
    world.pool.execute([], [world.provider], sender=world.keeper)
    assert world.pool.maxRedeem(world.provider) == served
    assert world.pool.maxWithdraw(world.provider) == assets


def test_share__has_no_way_to_be_minted_or_burned_from_outside(world: World) -> None:
    names = {entry["name"] for entry in world.pool.abi if entry["type"] == "function"}
    assert not names & {"burn", "burn_from", "set_minter", "is_minter", "renounce_ownership"}
    inputs = [e["inputs"] for e in world.pool.abi if e.get("name") == "mint"]
    assert all(len(i) in (2, 3) and i[0]["name"] == "shares" for i in inputs)


def test_share__permit_works_on_this_chain(world: World, bob: str) -> None:
    holder = Account.from_key(keccak(text="holder"))
    deadline = world.evm.timestamp + 60
    signed = Account.sign_typed_data(
        holder.key,
        {"name": "Ballast Liquidity", "version": "1", "chainId": 1,
         "verifyingContract": world.pool.address},
        {"Permit": [
            {"name": "owner", "type": "address"}, {"name": "spender", "type": "address"},
            {"name": "value", "type": "uint256"}, {"name": "nonce", "type": "uint256"},
            {"name": "deadline", "type": "uint256"}]},
        {"owner": holder.address, "spender": bob, "value": 77, "nonce": 0, "deadline": deadline},
    )  # fmt: skip
    r, s = signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")
    owner = holder.address.lower()
    world.pool.permit(owner, bob, 77, deadline, signed.v, r, s, sender=bob)
    assert world.pool.allowance(owner, bob) == 77
    with refused("erc20: invalid signature"):
        world.pool.permit(owner, bob, 77, deadline, signed.v, r, s, sender=bob)


# -- attacks


def test_p06_tokens_sent_to_pool_or_clearinghouse_change_nothing(world: World, alice: str) -> None:
    nav, price = world.pool.nav(), world.pool.convertToAssets(WAD)
    donate(world, 1_000_000 * USD)
    world.usdc.mint(world.clearinghouse.address, 1_000_000 * USD, sender=world.governor)
    assert (world.pool.nav(), world.pool.convertToAssets(WAD)) == (nav, price)
    fair = shares_for(world, 500 * USD)
    assert entered(world, alice, 500) == (500 * USD, fair)


def test_p02_inflating_the_first_share_costs_more_than_it_takes(empty: World) -> None:
    """The attacker owns the first share and gives the pool money by the only way there is, the
    fee of an entry that lapses; the victim's loss to rounding is less than what that cost."""
    thief, victim = empty.wallet("alice"), empty.wallet("bob")
    empty.pool.set_exit_terms(FACTOR_PPM, 50_000, sender=empty.governor)
    empty.enter_pool(thief, "0.000001")
    empty.request_entry(thief, 20_000_000)
    empty.evm.warp(DELAY + WINDOW + 1)
    gift = empty.pool.lapse([thief], [], sender=thief)
    assert gift == 1_000_000 * USD
    empty.repost()
    shares = empty.enter_pool(victim, 1_000)
    assert shares > 0
    back = empty.leave_pool(victim, shares)
    assert 1_000 * USD - back <= 1
    regained = empty.leave_pool(thief, empty.pool.balanceOf(thief))
    assert regained < gift


def test_p04_a_price_known_before_the_request_is_executed_gains_nothing(
    world: World, alice: str
) -> None:
    """Who sees the pool about to win enters at the price after it, not before."""
    trader = whale(world, BTC, 100)
    world.request_entry(alice, 1_000_000)
    world.evm.warp(DELAY)
    world.post({BTC: 45_000, ETH: 2_500, SOL: 100})  # the pool wins 500,000
    world.pool.execute([alice], [], sender=world.keeper)
    shares = world.pool.deposit(world.pool.maxDeposit(alice), alice, sender=alice)
    assert world.assess(trader).equity < 1_600_000 * WAD
    gain = world.leave_pool(alice, shares) - 1_000_000 * USD
    assert gain < 5 * USD  # the funding of a minute, not a part of 500,000


def test_p04_shares_do_not_jump_when_a_result_is_realised(world: World) -> None:
    """NAV holds what traders have lost already, so entering before a close gains its fees only."""
    trader = whale(world, BTC, 100)
    world.post({BTC: 45_000, ETH: 2_500, SOL: 100})
    world.markets.accrue([BTC], sender=world.keeper)
    before = world.pool.nav()
    world.open_position(trader, BTC, -100)
    fees = 100 * 45_000 * WAD // 1_000
    spread = 100 * 45_000 * 200 // 8_000 * WAD  # the premium it gave when it opened
    assert before - 1_000 * WAD < world.pool.nav() < before + fees + spread


def test_attack__in_and_out_at_still_prices_never_gains(world: World, seed: int) -> None:
    dice = random.Random(seed)
    world.open_position(whale(world, ETH, 333), ETH, -333, price="2507.12345678")
    assert world.pool.nav() % SCALE != 0
    names = [world.wallet(name) for name in ("alice", "bob", "carol")]
    for _ in range(30):
        holder = dice.choice(names)
        price = (world.pool.nav() + V) * 10**30 // (world.pool.totalSupply() + V)
        units = dice.choice([1, 2, 999, dice.randrange(1, 10**12)])
        shares = world.enter_pool(holder, Decimal(units) / USD)
        paid = world.usdc.balanceOf(world.clearinghouse.address)
        got = world.leave_pool(holder, shares)  # none for dust: it is returned
        assert world.usdc.balanceOf(world.clearinghouse.address) == paid - got
        assert got <= units
        after = (world.pool.nav() + V) * 10**30 // (world.pool.totalSupply() + V)
        assert after >= price  # who stays never loses to rounding
        world.usdc.transfer(world.governor, world.usdc.balanceOf(holder), sender=holder)


def test_d01_d04_a_blocked_holder_blocks_nobody(hostile: World) -> None:
    alice, bob = hostile.wallet("alice"), hostile.wallet("bob")
    hostile.enter_pool(alice, 500)
    hostile.enter_pool(bob, 500)
    for name in (alice, bob):
        exit_all(hostile, name)
    hostile.usdc.set_blocked(alice, True, sender=hostile.governor)
    hostile.execute_requests(exits=[alice, bob])
    hostile.pool.redeem(hostile.pool.maxRedeem(bob), bob, sender=bob)
    assert hostile.usdc.balanceOf(bob) > 0
    with refused("token: blocked"):
        hostile.pool.redeem(hostile.pool.maxRedeem(alice), alice, sender=alice)
    hostile.pool.redeem(hostile.pool.maxRedeem(alice), bob, alice, sender=alice)


def test_attack__a_token_that_answers_false_moves_no_money(hostile: World) -> None:
    alice = hostile.wallet("alice")
    hostile.mint(hostile.usdc, alice, 500 * USD, hostile.pool)
    token: Contract = hostile.usdc
    token.set_manner(2, sender=alice)
    with refused("pool: transfer failed"):
        hostile.pool.requestDeposit(500 * USD, alice, alice, sender=alice)
    assert hostile.pool.pendingDepositRequest(0, alice) == 0
    token.set_manner(0, sender=alice)
    hostile.pool.requestDeposit(500 * USD, alice, alice, sender=alice)
    make_due(hostile)
    token.set_manner(2, sender=alice)
    with refused("pool: transfer failed"):
        hostile.pool.execute([alice], [], sender=alice)
    token.set_manner(1, sender=alice)  # and one that answers nothing works
    hostile.pool.execute([alice], [], sender=alice)
    shares = hostile.pool.deposit(500 * USD, alice, sender=alice)
    assert hostile.leave_pool(alice, shares) == 500 * USD


def test_attack__a_token_that_calls_back_finds_the_pool_locked(hostile: World) -> None:
    alice, bob = hostile.wallet("alice"), hostile.wallet("bob")
    token, pool = hostile.usdc, hostile.pool
    hostile.enter_pool(alice, 500)
    exit_all(hostile, alice)
    hostile.request_entry(bob, 300)
    make_due(hostile)
    supply = pool.totalSupply()
    token.set_hook(pool.address, pool.execute.encode([], [alice]), sender=alice)
    pool.execute([bob], [], sender=alice)
    assert (token.hook_runs(), token.hook_passed()) == (1, False)
    assert pool.totalSupply() > supply
    token.set_hook(pool.address, pool.lapse.encode([], []), sender=alice)
    pool.deposit(300 * USD, bob, sender=bob)
    token.set_hook(NOBODY, b"", sender=alice)
    pool.execute([], [alice], sender=alice)
    claim = pool.redeem.encode(pool.maxRedeem(alice), bob, alice)
    pool.setOperator(token.address, True, sender=alice)  # only the lock is in its way
    token.set_hook(pool.address, claim, sender=alice)
    half = pool.maxRedeem(alice) // 2
    assets = pool.redeem(half, alice, sender=alice)
    assert token.hook_passed() is False
    assert token.balanceOf(alice) == assets
    assert token.balanceOf(bob) == 0
