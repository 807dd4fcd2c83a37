"""What a stranger calls changes nothing of anybody else's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from scripts.plan import CONTRACTS
from tests.attack.gang import gang, lines
from tests.support.evm import Contract, Revert
from tests.support.refusals import refused
from tests.support.world import BTC, ETH, USD, WAD, World

NOBODY = "0x" + "00" * 20
# a stranger may add to what another has, and with a fresh price set or clear a call
GIFTS = {("Clearinghouse", "deposit"), ("Vault", "deposit")}


def changing(contract: Contract) -> Iterator[dict[str, Any]]:
    for entry in contract.abi:
        if entry["type"] == "function" and entry["stateMutability"] in ("nonpayable", "payable"):
            yield entry


def guesses(world: World, kind: str, victim: bytes, stranger: str) -> list[Any]:
    """Arguments of a type by which a stranger might reach the victim."""
    owner = world.owner(victim)
    found: dict[str, list[Any]] = {
        "bytes32": [victim, b"\x00" * 32],
        "address": [owner, stranger, world.usdc.address],
        "bool": [True],
        "int256": [-WAD, WAD],
        "bytes32[]": [[victim]],
        "address[]": [[owner]],
        "uint256[]": [[BTC]],
    }
    if kind in found:
        return found[kind]
    return [1, 0, 10**6] if kind.startswith("uint") and "[" not in kind else []


def rows(choices: list[list[Any]]) -> Iterator[tuple[Any, ...]]:
    """Every argument varied once, the others at their first guess."""
    if not all(choices):
        return
    first = [each[0] for each in choices]
    yield tuple(first)
    for place, each in enumerate(choices):
        for other in each[1:]:
            yield (*first[:place], other, *first[place + 1 :])


def belongings(world: World, victim: bytes) -> Any:
    owner, pool = world.owner(victim), world.pool
    return (
        world.clearinghouse.account_word(victim),
        [world.clearinghouse.position(victim, one) for one in (BTC, ETH)],
        world.vault.held(victim, world.weth.address),
        [token.balanceOf(owner) for token in (world.usdc, world.weth, pool)],
        [pool.request(kind, owner) for kind in (0, 1)],
        [pool.maxMint(owner), pool.maxRedeem(owner), pool.returned(owner)],
    )


@pytest.fixture
def victim(world: World) -> bytes:
    """With cash, collateral, positions, an order, shares, and requests and claims both ways."""
    (account,) = gang(world, "victim", 1, 50_000)
    owner = world.owner(account)
    world.add_collateral(account, world.weth, 3)
    world.enter_pool(owner, 5_000)
    world.request_entry(owner, 700)
    world.pool.requestRedeem(WAD, owner, owner, sender=owner)
    world.execute_requests([owner], [owner])
    world.request_entry(owner, 600)
    world.pool.requestRedeem(2 * WAD, owner, owner, sender=owner)
    world.open_position(account, BTC, "0.5")
    world.open_position(account, ETH, "-3")
    world.commit(world.order(account, BTC, "0.1", execution_fee=WAD))
    for token, spender in ((world.usdc, world.clearinghouse), (world.weth, world.vault)):
        world.mint(token, owner, USD, spender)  # approved, too
    return account


@pytest.mark.parametrize("name", CONTRACTS)
def test_m02_i38_a_stranger_changes_nothing_of_the_victim(
    world: World, victim: bytes, name: str
) -> None:
    contract, stranger = world.contracts[name], world.wallet("stranger")
    before, house = belongings(world, victim), lines(world)
    tried = 0
    for entry in changing(contract):
        kinds = [one["type"] for one in entry["inputs"]]
        choices = [guesses(world, kind, victim, stranger) for kind in kinds]
        for arguments in rows(choices):
            with world.evm.trial(), suppress(Revert):
                tried += 1
                getattr(contract, entry["name"])(*arguments, sender=stranger)
                if (name, entry["name"]) not in GIFTS:
                    assert belongings(world, victim) == before, (entry["name"], arguments)
                after = lines(world)
                assert after.insurance >= house.insurance
                assert after.pool + after.insurance >= house.pool + house.insurance
                assert contract.owner() == world.governor if name != "Lens" else True
    assert tried or name == "Lens"


def test_m23_nobody_is_nobody(world: World) -> None:
    """The empty owner has no account, and nothing can be sent to it."""
    empty = b"\x00" * 32
    bucket = b"\x00" * 31 + b"\x07"
    world.mint(world.usdc, world.keeper, USD, world.clearinghouse)
    world.mint(world.weth, world.keeper, WAD, world.vault)
    for account in (empty, bucket):
        with refused("account: no owner"):
            world.clearinghouse.deposit(account, USD, sender=world.keeper)
        with refused("account: no owner"):
            world.vault.deposit(account, world.weth.address, WAD, sender=world.keeper)
        with refused("account: not the owner"):
            world.clearinghouse.withdraw(account, 1, world.keeper, sender=world.keeper)
        assert world.assess(account).equity == 0
        assert not world.liquidator.liquidatable(account)
    with refused("ownable: new owner is the zero address"):
        world.clearinghouse.transfer_ownership(NOBODY, sender=world.governor)
