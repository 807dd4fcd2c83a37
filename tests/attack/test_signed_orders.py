"""Who brings a signed order, or acts for another, can do what was signed or allowed and no more."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

from keeper.core.protocol.state import Mandate
from tests.support.refusals import refused
from tests.support.world import BTC, WAD, Order, World
from tests.unit.test_orders_signed import (
    FOREVER,
    ORDER_OF_CURVE,
    account_of,
    message,
    relay,
    signature,
)

NOBODY = "0x" + "00" * 20
HONEST, EMPTY, SHORT, DIRTY, TRUE, REVERTS, BURNS = range(7)


@pytest.fixture
def signer(world: World) -> LocalAccount:
    key: LocalAccount = Account.from_key(b"\x07" * 32)
    world.deposit(account_of(key), 20_000)
    return key


# -- signatures


def test_r09_the_upper_form_of_a_signature_is_none(world: World, signer: LocalAccount) -> None:
    """(v ^ 1, N − s) recovers the same key: with it one signature would be two."""
    order = world.order(account_of(signer), BTC, "0.1")
    signed = signature(world, signer, order)
    r, s, v = signed[:32], int.from_bytes(signed[32:64], "big"), signed[64]
    upper = r + (ORDER_OF_CURVE - s).to_bytes(32, "big") + bytes([55 - v])
    for forged in (
        upper,
        r + signed[32:64] + bytes([v - 27]),
        r + signed[32:64] + bytes([55 - v]),
        signed[:64],
        signed + b"\0",
        b"",
    ):
        with refused("orders: bad signature"):
            relay(world, order, forged)
    relay(world, order, signed)


def test_r09_nobody_signs_for_the_empty_address(world: World) -> None:
    """ecrecover answers zero to rubbish, and zero is the owner of an account id."""
    order = world.order(bytes(20) + bytes(12), BTC, "0.1")
    for rubbish in (bytes(65), bytes(64) + b"\x1b", b"\xff" * 64 + b"\x1b", b"\1" * 64 + b"\x1c"):
        with refused("orders: bad signature"):
            relay(world, order, rubbish, signer=NOBODY)


@pytest.mark.parametrize(
    "domain",
    [
        {"chainId": 2},
        {"verifyingContract": "0x" + "11" * 20},
        {"name": "Ballast OracleHub"},
        {"version": "2"},
    ],
)
def test_r08_a_signature_for_another_place_counts_nowhere_else(
    world: World, signer: LocalAccount, domain: dict[str, Any]
) -> None:
    order = world.order(account_of(signer), BTC, "0.1")
    with refused("orders: bad signature"):
        relay(world, order, signature(world, signer, order, **domain))


def test_r08_no_two_messages_have_one_hash(world: World, signer: LocalAccount) -> None:
    """Every field changes the digest, and all are of a fixed size behind a type of their own."""
    order = world.order(account_of(signer), BTC, 1, kind=1, trigger=WAD, expiry=2**33, bracket=2)
    orders = [order]
    for name, value in zip(order.__slots__, astuple(order), strict=True):
        other = not value if isinstance(value, bool) else None
        if isinstance(value, bytes):
            orders.append(replace(order, account=account_of(signer, 1)))
            orders.append(replace(order, account=world.account("other")))
        else:
            changed: dict[str, Any] = {name: value + 1 if other is None else other}
            orders.append(replace(order, **changed))
    digests = [world.orders.order_digest(one.as_argument(), 5, 6) for one in orders]
    digests += [world.orders.order_digest(order.as_argument(), *one) for one in ((6, 5), (5, 7))]
    assert len(set(digests)) == len(orders) + 2


def test_r05_a_signature_is_used_once_however_it_is_brought(
    world: World, signer: LocalAccount
) -> None:
    order = world.order(account_of(signer), BTC, "0.1")
    signed = signature(world, signer, order)
    relay(world, order, signed)
    world.orders.cancel(order.as_argument(), sender=signer.address.lower())
    for by in ("relayer", "another"):
        with refused("orders: nonce is used"):
            world.orders.relay_signed(
                order.as_argument(), 0, FOREVER, signer.address, signed, sender=world.wallet(by)
            )
    assert world.assess(order.account).reserved == 0


# -- wallets that are contracts


def wallet_of(world: World, key: LocalAccount) -> tuple[Any, bytes]:
    """(wallet, its account with 20,000 USD)."""
    wallet = world.evm.deploy(
        world.artifacts["SigningWallet"], key.address, sender=world.wallet("deployer of wallets")
    )
    account = bytes.fromhex(wallet.address[2:]) + bytes(12)
    world.mint(world.usdc, world.keeper, 20_000 * 10**6, world.clearinghouse)
    world.clearinghouse.deposit(account, 20_000 * 10**6, sender=world.keeper)
    return wallet, account


def test_r09_a_wallet_that_is_a_contract_signs_by_its_own_rule(
    world: World, signer: LocalAccount
) -> None:
    _, account = wallet_of(world, signer)
    order = world.order(account, BTC, "0.1")
    stranger: LocalAccount = Account.from_key(b"\x09" * 32)
    with refused("orders: bad signature"):
        relay(world, order, signature(world, stranger, order))
    relay(world, order, signature(world, signer, order))
    with refused("orders: bad signature"):  # its key has no account by that
        relay(world, replace(order, account=account_of(signer)), signature(world, signer, order))


@pytest.mark.parametrize("answer", [EMPTY, SHORT, DIRTY, TRUE, REVERTS, BURNS])
def test_r09_only_the_magic_word_is_a_yes(world: World, signer: LocalAccount, answer: int) -> None:
    wallet, account = wallet_of(world, signer)
    order = world.order(account, BTC, "0.1")
    signed = signature(world, signer, order)
    wallet.set_answer(answer, sender=world.keeper)
    with refused("orders: bad signature"):
        relay(world, order, signed)
    wallet.set_answer(HONEST, sender=world.keeper)
    relay(world, order, signed)


def test_r09_no_contract_signs_for_another(world: World, signer: LocalAccount) -> None:
    """A wallet that says yes to everything is the signer of its own accounts alone."""
    order = world.order(account_of(signer), BTC, "0.1")
    yes = world.evm.deploy(
        world.artifacts["SigningWallet"],
        world.wallet("thief"),
        sender=world.wallet("deployer of wallets"),
    )
    key: LocalAccount = Account.from_key(b"\x0a" * 32)
    with refused("orders: bad signature"):
        relay(world, order, signature(world, key, order), signer=yes.address)


# -- delegates


def delegated(world: World, account: bytes, **changes: Any) -> str:
    """The widest mandate there is, but for what is changed."""
    mandate = Mandate(2**40 - 1, 2**256 - 1, True, 0, 2**48 - 1, 2**32 - 1)
    delegate = world.wallet("delegate")
    world.orders.set_delegate(
        delegate, astuple(replace(mandate, **changes)), sender=world.owner(account)
    )
    return delegate


def test_i15_a_delegate_moves_nothing_out(world: World) -> None:
    """With the widest mandate every act that moves value is still the owner's alone."""
    trader, other = world.account("trader"), world.account("trader", 1)
    for account in (trader, other):
        world.deposit(account, 20_000)
    world.open_position(trader, BTC, "0.1")
    world.add_collateral(trader, world.weth, 1)
    delegate = delegated(world, trader)
    house, vault = world.clearinghouse, world.vault
    acts = [
        (house.withdraw, (trader, 1, delegate)),
        (house.move_cash, (trader, world.account("delegate"), 1)),
        (house.move_cash, (trader, other, 1)),
        (house.move_position, (trader, other, BTC)),
        (house.set_mode, (trader, 1)),
        (vault.withdraw, (trader, world.weth.address, 1, delegate)),
        (vault.move, (trader, other, world.weth.address, 1)),
    ]
    before = world.assess(trader)
    for act, arguments in acts:
        with refused("account: not the owner"):
            act(*arguments, sender=delegate)
    assert world.assess(trader) == before


def test_i15_a_delegate_gives_no_mandate_on(world: World) -> None:
    trader = world.account("trader")
    world.deposit(trader, 20_000)
    delegate = delegated(world, trader)
    world.orders.set_delegate(
        world.wallet("friend"), (2**40 - 1, 2**256 - 1, True, 0, 10**9, 10**6), sender=delegate
    )
    order = world.order(trader, BTC, "0.1")
    with refused("account: not the owner"):
        world.orders.commit(order.as_argument(), sender=world.wallet("friend"))


def test_i15_fees_are_no_way_out_for_a_delegate(world: World) -> None:
    """He could execute, trigger or relay his own orders: what they pay has a limit of its own."""
    trader = world.account("trader")
    world.deposit(trader, 20_000)
    delegate = delegated(world, trader, daily_fees_usd=5)
    owner = world.owner(trader)
    dear = world.order(trader, BTC, "0.002", execution_fee=5 * WAD + 1)
    with refused("delegate: beyond the day's fees"):
        world.orders.commit(dear.as_argument(), sender=delegate)
    waiting = replace(dear, execution_fee=3 * WAD, kind=1, trigger=60_000 * WAD, expiry=2**33)
    with refused("delegate: beyond the day's fees"):
        world.orders.commit(waiting.as_argument(), sender=delegate)
    key: LocalAccount = Account.from_key(b"\x08" * 32)
    world.orders.set_delegate(key.address, (2**40 - 1, 2, True, 0, 10**9, 5), sender=owner)
    relayed = replace(dear, execution_fee=3 * WAD)
    signed = signature(world, key, relayed, 3 * WAD)
    with refused("delegate: beyond the day's fees"):
        relay(world, relayed, signed, fee=3 * WAD, signer=key.address)
    for number in range(5):
        order = replace(dear, execution_fee=WAD, salt=1_000 + number)
        world.orders.commit(order.as_argument(), sender=delegate)
    with refused("delegate: beyond the day's fees"):
        order = replace(dear, execution_fee=1, salt=2_000)
        world.orders.commit(order.as_argument(), sender=delegate)
    assert world.cash(trader) == (20_000 - 5) * WAD


def test_i15_an_ended_mandate_leaves_orders_that_only_the_owner_or_time_can_end(
    world: World,
) -> None:
    trader = world.account("trader")
    world.deposit(trader, 20_000)
    last = world.evm.timestamp + 600
    delegate = delegated(world, trader, expiry=last)
    order = world.order(trader, BTC, 1, kind=1, trigger=45_000 * WAD, expiry=last)
    world.orders.commit(order.as_argument(), sender=delegate)
    world.orders.set_delegate(delegate, (0, 0, False, 0, 0, 0), sender=world.owner(trader))
    with refused("account: not the owner"):
        world.orders.cancel(order.as_argument(), sender=delegate)
    with world.evm.trial():
        world.orders.cancel(order.as_argument(), sender=world.owner(trader))
    world.wait(601)
    world.orders.expire(order.as_argument(), 0, sender=world.keeper)


def test_x06_a_signed_order_is_measured_when_it_is_brought(
    world: World, signer: LocalAccount
) -> None:
    """The relayer's delay gains nobody a price: fee, reserve and due time are of his block."""
    order = world.order(account_of(signer), BTC, 1)
    signed = signature(world, signer, order)
    world.post({BTC: 60_000})
    relay(world, order, signed)
    found = world.orders.commitment(world.orders.order_id(order.as_argument()))
    assert found.due == world.evm.timestamp + 2
    assert found.lapse == 30 * WAD


def test_r08_what_is_signed_is_readable(world: World, signer: LocalAccount) -> None:
    """The type that wallets show is the one that the contract hashes."""
    order: Order = world.order(account_of(signer), BTC, 1)
    fields = message(world, order, 0, 0)["types"]["Order"]
    text = ",".join(f"{field['type']} {field['name']}" for field in fields)
    code = world.artifacts["Orders"].deployed_bytecode
    assert keccak(text=f"Order({text})") in code
