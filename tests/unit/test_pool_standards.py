"""LiquidityPool as its standards want it: ERC-4626 with claims in the place of instant entry and
exit (ERC-7540), its share (ERC-7575), and what it says of itself (ERC-165). A property a test."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest
from eth_utils import keccak

from tests.support.refusals import refused
from tests.support.world import BTC, ETH, SOL, USD, WAD, World

SCALE = 10**12  # WAD of a native unit
DELAY, WINDOW = 30, 600
ENTRY, EXIT = 0, 1
CLAIMS = ("deposit", "mint", "redeem", "withdraw")
MOST = {
    "deposit": "maxDeposit",
    "mint": "maxMint",
    "redeem": "maxRedeem",
    "withdraw": "maxWithdraw",
}
SIDES = pytest.mark.parametrize("side", [ENTRY, EXIT], ids=["entry", "exit"])
EVERY_CLAIM = pytest.mark.parametrize("claim", CLAIMS)


@pytest.fixture
def holder(world: World) -> str:
    """Who has shares, at a price of a share that is no round number."""
    trader = world.account("trader")
    world.deposit(trader, 500_000)
    world.open_position(trader, BTC, 30)
    who = world.wallet("holder")
    world.enter_pool(who, 10_000)
    world.post({BTC: "50321.987", ETH: 2_500, SOL: 100})
    world.markets.accrue([BTC], sender=world.keeper)
    return who


def ask(
    world: World, who: str, side: int, owner: str | None = None, sender: str | None = None
) -> int:
    """A request of who controls it; the amount."""
    owner = owner or who
    if side == ENTRY:
        amount = 1_234_567_891
        world.mint(world.usdc, owner, amount, world.pool)
        world.pool.requestDeposit(amount, who, owner, sender=sender or owner)
    else:
        amount = world.pool.balanceOf(owner) // 3
        world.pool.requestRedeem(amount, who, owner, sender=sender or owner)
    return int(amount)


def executed(world: World, who: str, claim: str) -> int:
    """What can be claimed at most by this function."""
    side = ENTRY if claim in ("deposit", "mint") else EXIT
    ask(world, who, side)
    world.execute_requests(**{("entries", "exits")[side]: [who]})
    return int(getattr(world.pool, MOST[claim])(who))


def pending(world: World, side: int, who: str, request: int = 0) -> int:
    names = ("pendingDepositRequest", "pendingRedeemRequest")
    return int(getattr(world.pool, names[side])(request, who))


def claimable(world: World, side: int, who: str, request: int = 0) -> int:
    names = ("claimableDepositRequest", "claimableRedeemRequest")
    return int(getattr(world.pool, names[side])(request, who))


# -- requests (ERC-7540)


@SIDES
def test_erc7540_a_request_takes_what_it_offers_at_once(
    world: World, holder: str, side: int
) -> None:
    shares = world.pool.balanceOf(holder)
    amount = ask(world, holder, side)
    assert pending(world, side, holder) == amount
    assert claimable(world, side, holder) == 0
    assert world.usdc.balanceOf(holder) == 0
    assert world.pool.balanceOf(holder) == shares - (amount if side == EXIT else 0)


@SIDES
def test_erc7540_requests_have_id_zero_and_no_other(world: World, holder: str, side: int) -> None:
    ask(world, holder, side)
    name = ("DepositRequest", "RedeemRequest")[side]
    (event,) = world.evm.events(name)
    assert event.args.requestId == 0
    for other in (1, 2**256 - 1):
        assert pending(world, side, holder, other) == 0
    world.execute_requests(**{("entries", "exits")[side]: [holder]})
    assert claimable(world, side, holder) > 0
    for other in (1, 2**256 - 1):
        assert claimable(world, side, holder, other) == 0


@SIDES
def test_erc7540_a_request_names_its_controller_owner_and_sender(
    world: World, holder: str, side: int
) -> None:
    agent = world.wallet("agent")
    world.pool.setOperator(agent, True, sender=holder)
    amount = ask(world, agent, side, owner=holder, sender=agent)
    (event,) = world.evm.events(("DepositRequest", "RedeemRequest")[side])
    assert tuple(event.args) == (agent, holder, 0, agent, amount)
    assert pending(world, side, agent) == amount
    assert pending(world, side, holder) == 0


@SIDES
def test_erc7540_a_stranger_offers_nothing_of_an_owner(
    world: World, holder: str, side: int
) -> None:
    stranger = world.wallet("stranger")
    world.mint(world.usdc, holder, 5, world.pool)
    text = ("pool: not the owner", "erc20: insufficient allowance")[side]
    with refused(text):
        getattr(world.pool, ("requestDeposit", "requestRedeem")[side])(
            5, stranger, holder, sender=stranger
        )


@SIDES
def test_erc7540_pending_becomes_claimable_without_a_rest(
    world: World, holder: str, side: int
) -> None:
    amount = ask(world, holder, side)
    world.execute_requests(**{("entries", "exits")[side]: [holder]})
    assert (pending(world, side, holder), claimable(world, side, holder)) == (0, amount)


@SIDES
def test_erc7540_nothing_is_claimable_before_it_is_executed(
    world: World, holder: str, side: int
) -> None:
    ask(world, holder, side)
    for claim in CLAIMS[2 * side : 2 * side + 2]:
        assert getattr(world.pool, MOST[claim])(holder) == 0
        with refused("pool: more than claimable"):
            getattr(world.pool, claim)(1, holder, holder, sender=holder)


@pytest.mark.parametrize(
    "preview", ["previewDeposit", "previewMint", "previewRedeem", "previewWithdraw"]
)
def test_erc7540_previews_revert(world: World, preview: str) -> None:
    for amount in (0, 1, 2**256 - 1):
        with refused("pool: requests only"):
            getattr(world.pool, preview)(amount)


# -- operators (ERC-7540)


def test_erc7540_an_operator_is_whom_the_controller_names_until_he_unnames_him(
    world: World, holder: str
) -> None:
    agent, pool = world.wallet("agent"), world.pool
    for approved in (True, False, True):
        assert pool.setOperator(agent, approved, sender=holder) is True
        (event,) = world.evm.events("OperatorSet")
        assert tuple(event.args) == (holder, agent, approved)
        assert pool.isOperator(holder, agent) is approved
        assert pool.isOperator(agent, holder) is False


@EVERY_CLAIM
def test_erc7540_only_the_controller_or_his_operator_claims(
    world: World, holder: str, claim: str
) -> None:
    most, agent = executed(world, holder, claim), world.wallet("agent")
    function: Callable[..., Any] = getattr(world.pool, claim)
    with refused("pool: not the controller"):
        function(most, agent, holder, sender=agent)
    world.pool.setOperator(agent, True, sender=holder)
    function(most, agent, holder, sender=agent)


# -- claims (ERC-4626)


@EVERY_CLAIM
def test_erc4626_a_claim_gives_up_to_its_maximum_and_not_a_unit_more(
    world: World, holder: str, claim: str
) -> None:
    most = executed(world, holder, claim)
    function: Callable[..., Any] = getattr(world.pool, claim)
    with refused("pool: more than claimable"):
        function(most + 1, holder, holder, sender=holder)
    function(most, holder, holder, sender=holder)
    assert getattr(world.pool, MOST[claim])(holder) == 0


@EVERY_CLAIM
def test_erc4626_a_claim_rounds_against_who_claims(world: World, holder: str, claim: str) -> None:
    """What is named by what goes in gives down; by what comes out, uses up more."""
    most = executed(world, holder, claim)
    side = ENTRY if claim in ("deposit", "mint") else EXIT
    amount, out = claimable(world, side, holder), _out(world, side, holder)
    part = most // 7 + 1
    answer = getattr(world.pool, claim)(part, holder, holder, sender=holder)
    if claim in ("deposit", "redeem"):
        assert answer == part * out // amount
        assert answer * amount <= part * out
    else:
        assert answer == -(-part * amount // out)
        assert answer * out >= part * amount


@EVERY_CLAIM
def test_erc4626_a_claim_is_told_with_both_amounts(world: World, holder: str, claim: str) -> None:
    most, receiver = executed(world, holder, claim), world.wallet("receiver")
    answer = getattr(world.pool, claim)(most, receiver, holder, sender=holder)
    if claim in ("deposit", "mint"):
        (event,) = world.evm.events("Deposit")
        assert (event.args.sender, event.args.owner) == (holder, receiver)
        assert world.pool.balanceOf(receiver) == event.args.shares
    else:
        (event,) = world.evm.events("Withdraw")
        assert (event.args.owner, event.args.receiver) == (holder, receiver)
        assert world.usdc.balanceOf(receiver) == event.args.assets
    by_assets = claim in ("deposit", "withdraw")
    expected = (most, answer) if by_assets else (answer, most)
    assert (event.args.assets, event.args.shares) == expected


@EVERY_CLAIM
def test_erc4626_a_claim_needs_no_price_and_no_permission(
    world: World, holder: str, claim: str
) -> None:
    most = executed(world, holder, claim)
    for instrument in (BTC, ETH, SOL):
        world.instruments.set_status(instrument, 2, sender=world.governor)
    world.evm.warp(365 * 86_400)
    getattr(world.pool, claim)(most, holder, holder, sender=holder)


@EVERY_CLAIM
def test_erc4626_nothing_is_claimed_for_nothing(world: World, holder: str, claim: str) -> None:
    executed(world, holder, claim)
    with refused("pool: amount is zero"):
        getattr(world.pool, claim)(0, holder, holder, sender=holder)


# -- conversions and totals (ERC-4626)


def test_erc4626_conversions_round_down_and_back_gives_no_more(world: World, holder: str) -> None:
    pool = world.pool
    nav, supply = pool.nav(), pool.totalSupply()
    for assets in (0, 1, 7, 999_999, USD, 12_345 * USD + 1):
        shares = pool.convertToShares(assets)
        assert shares * (nav + 1_000) <= assets * SCALE * (supply + 1_000)
        assert pool.convertToAssets(shares) <= assets
    for shares in (0, 1, SCALE - 1, SCALE + 1, WAD // 3):
        assets = pool.convertToAssets(shares)
        assert assets * SCALE * (supply + 1_000) <= shares * (nav + 1_000)
        assert pool.convertToShares(assets) <= shares


def test_erc4626_conversions_ask_nobody_who_asks(world: World, holder: str) -> None:
    pool = world.pool
    assert pool.asset() == world.usdc.address
    assert pool.totalAssets() == pool.nav() // SCALE
    assert len({pool.convertToShares(USD) for _ in (holder, world.keeper)}) == 1


def _insolvent(world: World) -> None:
    trader = world.account("whale")
    world.deposit(trader, 2_000_000)
    world.open_position(trader, BTC, 90)
    world.post({BTC: 200_000})
    world.markets.accrue([BTC], sender=world.keeper)
    assert world.pool.nav() < 0


def _old(world: World) -> None:
    world.evm.warp(10 * 365 * 86_400)


def _left(world: World) -> None:
    world.leave_pool(world.provider, world.pool.balanceOf(world.provider))


@pytest.mark.parametrize("state", [_insolvent, _old, _left])
def test_erc4626_views_never_revert(world: World, holder: str, state: Any) -> None:
    state(world)
    pool = world.pool
    assert pool.totalAssets() == max(pool.nav(), 0) // SCALE
    for view in ("convertToShares", "convertToAssets"):
        for amount in (0, 1, 2**96 - 1):
            getattr(pool, view)(amount)
    for view in MOST.values():
        assert getattr(pool, view)(holder) == 0
    for side in (ENTRY, EXIT):
        pending(world, side, holder)
        claimable(world, side, holder)


@pytest.mark.parametrize("gift", [1, USD, 10**7 * USD])
def test_erc4626_a_donation_does_not_inflate_a_share(world: World, gift: int) -> None:
    """Into the pool or the Clearinghouse: neither asks for a balance."""
    price, total = world.pool.convertToAssets(WAD), world.pool.totalAssets()
    for target in (world.pool, world.clearinghouse):
        world.usdc.mint(target.address, gift, sender=world.governor)
        assert (world.pool.convertToAssets(WAD), world.pool.totalAssets()) == (price, total)


# -- the share (ERC-7575, ERC-20) and what it says of itself (ERC-165)


def test_erc7575_the_share_is_the_vault_itself(world: World) -> None:
    assert world.pool.share() == world.pool.address
    assert world.pool.decimals() == 18


def selector(signature: str) -> int:
    return int.from_bytes(keccak(text=signature)[:4], "big")


INTERFACES = {
    "ERC-165": ["supportsInterface(bytes4)"],
    "ERC-7575": [
        *("asset()", "share()", "totalAssets()"),
        *("convertToAssets(uint256)", "convertToShares(uint256)"),
        *("maxDeposit(address)", "previewDeposit(uint256)", "deposit(uint256,address)"),
        *("maxMint(address)", "previewMint(uint256)", "mint(uint256,address)"),
        *("maxWithdraw(address)", "previewWithdraw(uint256)"),
        *("withdraw(uint256,address,address)", "maxRedeem(address)"),
        *("previewRedeem(uint256)", "redeem(uint256,address,address)"),
    ],
    "ERC-7540 operators": ["isOperator(address,address)", "setOperator(address,bool)"],
    "ERC-7540 entries": [
        "requestDeposit(uint256,address,address)",
        "pendingDepositRequest(uint256,address)",
        "claimableDepositRequest(uint256,address)",
        "deposit(uint256,address,address)",
        "mint(uint256,address,address)",
    ],
    "ERC-7540 exits": [
        "requestRedeem(uint256,address,address)",
        "pendingRedeemRequest(uint256,address)",
        "claimableRedeemRequest(uint256,address)",
    ],
}


@pytest.mark.parametrize("name", list(INTERFACES))
def test_erc165_an_interface_is_named_by_its_functions_and_has_them(
    world: World, name: str
) -> None:
    selectors = [selector(signature) for signature in INTERFACES[name]]
    identity = reduce(int.__xor__, selectors).to_bytes(4, "big")
    assert world.pool.supportsInterface(identity) is True
    code = world.evm.code(world.pool.address)
    for one in selectors:
        assert one.to_bytes(4, "big").lstrip(b"\0") in code


def test_erc165_no_other_interface_is_claimed(world: World) -> None:
    for other in ("ffffffff", "00000000", "36372b07"):
        assert world.pool.supportsInterface(bytes.fromhex(other)) is False


def _out(world: World, side: int, who: str) -> int:
    return int(world.pool.maxMint(who) if side == ENTRY else world.pool.maxWithdraw(who))
