"""R-07: tokens of every kind, on the chain: handled whole, or refused at listing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.evm import Contract
from tests.support.refusals import refused
from tests.support.world import BTC, ETH, USD, World

WAD = 10**18
HONEST, SILENT, REFUSING = 0, 1, 2  # manners of HostileToken


def token_of(world: World, decimals: int = 18, manner: int = HONEST) -> Contract:
    artifact = world.artifacts["HostileToken"]
    token = world.evm.deploy(artifact, "Hostile", "BAD", decimals, sender=world.governor)
    token.set_manner(manner, sender=world.governor)
    return token


def list_it(world: World, token: Contract) -> None:
    """As collateral, priced like ETH, 10 % off, cap a million of it."""
    unit = 10 ** token.decimals()
    world.mint(token, world.governor, 100 * unit, world.vault)
    arguments = token.address, ETH, 100_000, 10**6 * unit, 100 * unit
    world.vault.list_token(*arguments, sender=world.governor)


def all_of(world: World, token: Contract, *accounts: bytes) -> Any:
    """Books and balances, to compare."""
    return (
        [world.vault.held(one, token.address) for one in accounts],
        world.vault.listing(token.address).total,
        token.balanceOf(world.vault.address),
        [world.clearinghouse.account_word(one) for one in accounts],
        world.markets.ledger(),
    )


# -- refused at listing


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ({"set_fees": (1_000, 0)}, "vault: token keeps a fee"),  # when the vault sends
        ({"set_fees": (0, 1_000)}, "vault: token keeps a fee"),  # when the vault pulls
        ({"set_fees": (1, 1)}, "vault: token keeps a fee"),  # a millionth
        ({"set_manner": (REFUSING,)}, "vault: transfer failed"),
    ],
)
def test_r07_a_token_that_keeps_or_refuses_is_not_listed(
    world: World, spoil: dict[str, tuple[int, ...]], reason: str
) -> None:
    token = token_of(world)
    for setter, arguments in spoil.items():
        getattr(token, setter)(*arguments, sender=world.governor)
    with refused(reason):
        list_it(world, token)
    assert world.vault.listing(token.address).feed == 0


@pytest.mark.parametrize("decimals", [19, 27, 77])
def test_m05_more_decimals_than_18_are_refused(world: World, decimals: int) -> None:
    token = token_of(world, decimals)
    world.mint(token, world.governor, 10**18, world.vault)
    with refused("vault: decimals above 18"):
        world.vault.list_token(token.address, ETH, 100_000, 10**20, 1, sender=world.governor)


# -- handled


@pytest.mark.parametrize("manner", [HONEST, SILENT])
@pytest.mark.parametrize("decimals", range(19))
def test_m12_m20_what_arrives_is_credited_and_comes_back_whole(
    world: World, decimals: int, manner: int
) -> None:
    """Every number of decimals, with an answer and without: to the unit, worth the same."""
    token, unit = token_of(world, decimals, manner), 10**decimals
    list_it(world, token)
    account, owner = world.account("trader"), world.wallet("trader")
    world.mint(token, owner, 7 * unit + 1, world.vault)
    world.vault.deposit(account, token.address, 7 * unit + 1, sender=owner)
    assert token.balanceOf(world.vault.address) == 7 * unit + 1
    assert world.vault.held(account, token.address) == 7 * unit + 1
    worth = (7 * unit + 1) * 2_500 * WAD * 9 // (10 * unit)
    assert world.assess(account).collateral == worth
    world.vault.withdraw(account, token.address, 7 * unit + 1, owner, sender=owner)
    assert (token.balanceOf(owner), token.balanceOf(world.vault.address)) == (7 * unit + 1, 0)


@pytest.fixture
def debtor(world: World) -> tuple[bytes, Contract]:
    """An account with a position and debt against a token that is honest so far."""
    token = token_of(world)
    list_it(world, token)
    account = world.account("victim")
    world.add_collateral(account, token, 20)
    owner = world.owner(account)
    world.clearinghouse.withdraw(account, 35_000 * USD, owner, sender=owner)
    world.open_position(account, BTC, "0.5")
    return account, token


@pytest.mark.parametrize("kind", ["paused", "answers false", "keeps a fee", "blacklists the owner"])
def test_r07_a_token_that_turns_bad_stops_nobody_but_itself(
    world: World, debtor: tuple[bytes, Contract], kind: str
) -> None:
    """What it backs is closed and liquidated all the same; other tokens and cash go on."""
    account, token = debtor
    owner = world.owner(account)
    other = world.account("other")
    world.deposit(other, 1_000)
    world.add_collateral(other, world.weth, 1)
    before = all_of(world, token, account, other)
    if kind == "paused":
        token.set_blocked(world.vault.address, True, sender=world.governor)
    elif kind == "answers false":
        token.set_manner(REFUSING, sender=world.governor)
    elif kind == "keeps a fee":
        token.set_fees(10_000, 10_000, sender=world.governor)
    else:
        token.set_blocked(owner, True, sender=world.governor)

    if kind != "keeps a fee":
        reason = "vault: transfer failed" if kind == "answers false" else "token: blocked"
        with refused(reason):
            world.vault.withdraw(account, token.address, WAD, owner, sender=owner)
        assert all_of(world, token, account, other) == before
    stranger = world.owner(other)
    world.vault.withdraw(other, world.weth.address, WAD, stranger, sender=stranger)
    world.clearinghouse.withdraw(other, 1_000 * USD, stranger, sender=stranger)

    world.post({BTC: 30_200})
    world.liquidator.liquidate(account, BTC, 2**256 - 1, sender=world.keeper)
    assert world.size(account, BTC) == 0

    # its sale needs the token; the owner's blacklist does not hold it up
    world.post({ETH: 1_200})
    world.mint(world.usdc, world.keeper, 10_000 * USD, world.clearinghouse)
    sale = world.liquidator.repay_with_collateral
    if kind in ("paused", "answers false"):
        with refused(reason):
            sale(account, token.address, 1_000 * USD, 0, sender=world.keeper)
    else:
        got = sale(account, token.address, 1_000 * USD, 0, sender=world.keeper)
        kept = got // 100 if kind == "keeps a fee" else 0
        assert token.balanceOf(world.keeper) == got - kept
    assert world.vault.held(account, token.address) <= token.balanceOf(world.vault.address)


def test_m10_a_deposit_of_one_token_never_credits_another(world: World) -> None:
    """Worthless tokens by the million, and the one listed does not move."""
    bad = token_of(world)
    account, owner = world.account("attacker"), world.wallet("attacker")
    world.mint(bad, owner, 10**30, world.vault)
    with refused("vault: token not listed"):
        world.vault.deposit(account, bad.address, 10**30, sender=owner)
    bad.mint(world.vault.address, 10**30, sender=owner)
    list_it(world, bad)
    assert world.vault.held(account, bad.address) == 0
    assert world.vault.held(account, world.weth.address) == 0
    assert world.vault.listing(bad.address).total == 0
    assert world.assess(account).equity == 0


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
def test_m12_cash_is_exact_for_every_settlement_token(world: World, decimals: int) -> None:
    """Deposit and withdrawal on a clearinghouse of a token with these decimals."""
    token = token_of(world, decimals)
    unit = 10 ** (18 - decimals)
    nobody = world.wallet("nobody")
    abi = world.artifacts["Clearinghouse"].abi
    inputs = next(one["inputs"] for one in abi if one["type"] == "constructor")
    given = {"owner": world.governor, "settlement_token": token.address}
    values = [given.get(one["name"], nobody) for one in inputs]
    house = world.evm.deploy(world.artifacts["Clearinghouse"], *values, sender=world.governor)
    assert house.SCALE() == unit
    account, owner = world.account("trader"), world.wallet("trader")
    world.mint(token, owner, 1_234, house)
    house.deposit(account, 1_234, sender=owner)
    assert house.account_word(account)[0] & (2**112 - 1) == 1_234 * unit
    house.withdraw(account, 1_233, owner, sender=owner)
    assert house.account_word(account)[0] & (2**112 - 1) == unit
    assert (token.balanceOf(owner), token.balanceOf(house.address)) == (1_233, 1)
