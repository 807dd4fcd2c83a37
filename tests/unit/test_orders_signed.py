"""Orders that come signed, and orders of delegates; SPEC 6.9, 6.10."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

from keeper.core.protocol.state import Mandate
from tests.support.refusals import refused
from tests.support.world import BTC, ETH, WAD, Order, World

ORDER_OF_CURVE = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FOREVER = 2**256 - 1
FILLED, CANCELLED = 0, 6
LIMIT, STOP = 1, 2

FIELDS = (
    ("owner", "address"),
    ("bucket", "uint256"),
    ("instrument", "uint256"),
    ("size", "int256"),
    ("acceptable", "uint256"),
    ("reduce_only", "bool"),
    ("execution_fee", "uint256"),
    ("nonce", "uint256"),
    ("kind", "uint256"),
    ("trigger", "uint256"),
    ("expiry", "uint256"),
    ("bracket", "uint256"),
    ("relay_fee", "uint256"),
    ("deadline", "uint256"),
)


@pytest.fixture
def signer(world: World) -> LocalAccount:
    key: LocalAccount = Account.from_key(b"\x07" * 32)
    world.deposit(account_of(key), 20_000)
    return key


def account_of(key: LocalAccount, bucket: int = 0) -> bytes:
    return bytes.fromhex(key.address[2:]) + bucket.to_bytes(12, "big")


def message(
    world: World, order: Order, relay_fee: int, deadline: int, **domain: Any
) -> dict[str, Any]:
    """What a wallet shows: every field by its name."""
    figures = astuple(order)[1:]
    content = (world.owner(order.account), int.from_bytes(order.account[20:], "big"), *figures)
    names = [name for name, _ in FIELDS]
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Order": [{"name": name, "type": kind} for name, kind in FIELDS],
        },
        "primaryType": "Order",
        "domain": {
            "name": "Ballast Orders",
            "version": "1",
            "chainId": 1,
            "verifyingContract": world.orders.address,
        }
        | domain,
        "message": dict(zip(names, (*content, relay_fee, deadline), strict=True)),
    }


def signature(
    world: World,
    key: LocalAccount,
    order: Order,
    relay_fee: int = 0,
    deadline: int = FOREVER,
    **domain: Any,
) -> bytes:
    found = message(world, order, relay_fee, deadline, **domain)
    signed = key.sign_message(encode_typed_data(full_message=found))
    return bytes(signed.signature)


def relay(
    world: World,
    order: Order,
    signed: bytes,
    *,
    fee: int = 0,
    deadline: int = FOREVER,
    signer: str | None = None,
) -> bytes:
    """A relayer brings an order that was signed by its owner unless another is named."""
    return bytes(
        world.orders.relay_signed(
            order.as_argument(),
            fee,
            deadline,
            signer or world.owner(order.account),
            signed,
            sender=world.wallet("relayer"),
        )
    )


# -- what counts


def test_relay__is_a_commitment_of_the_block_that_brings_it(
    world: World, signer: LocalAccount
) -> None:
    order = world.order(account_of(signer), BTC, 1, acceptable=60_000 * WAD, salt=2**200 + 3)
    signed = signature(world, signer, order, 2 * WAD)
    cash = world.cash(order.account)
    world.wait(3_600)
    id_ = relay(world, order, signed, fee=2 * WAD)
    found = world.orders.commitment(id_)
    assert found.due == world.evm.timestamp + 2
    assert found.reserved == world.assess(order.account).reserved > 0
    assert world.cash(order.account) == cash - 2 * WAD
    assert world.cash(world.account("relayer")) == 2 * WAD  # and no gas of the owner
    (event,) = world.evm.events("OrderRelayed")
    assert tuple(event.args) == (
        id_, signer.address.lower(), world.wallet("relayer"), 2 * WAD,
    )  # fmt: skip
    assert world.orders.used_nonces(signer.address, 2**192) == 1 << 3
    assert world.execute(order, world.due_slot(order)) == FILLED


def test_relay__of_an_order_that_waits(world: World, signer: LocalAccount) -> None:
    order = world.order(
        account_of(signer, 5), BTC, 1, kind=LIMIT, trigger=48_000 * WAD, execution_fee=WAD
    )
    world.deposit(order.account, 20_000)
    cash = world.cash(order.account)
    relay(world, order, signature(world, signer, order, WAD), fee=WAD)
    assert world.cash(order.account) == cash - 3 * WAD
    world.trigger(order, 47_000)
    assert world.execute(order, world.due_slot(order, 47_000)) == FILLED


def test_relay__the_digest_is_what_wallets_sign(world: World, signer: LocalAccount) -> None:
    order = world.order(account_of(signer, 2**96 - 1), ETH, -2, reduce_only=True, bracket=9)
    signable = encode_typed_data(full_message=message(world, order, 7, 8))
    recovered = Account._recover_hash(
        bytes(world.orders.order_digest(order.as_argument(), 7, 8)),
        signature=signer.sign_message(signable).signature,
    )
    assert recovered == signer.address


# -- what does not


def test_relay__once(world: World, signer: LocalAccount) -> None:
    order = world.order(account_of(signer), BTC, "0.1")
    signed = signature(world, signer, order)
    relay(world, order, signed)
    with refused("orders: nonce is used"):
        relay(world, order, signed)
    assert world.execute(order, world.due_slot(order)) == FILLED
    with refused("orders: nonce is used"):  # its id is free again, its signature is not
        relay(world, order, signed)


def test_relay__not_after_its_deadline(world: World, signer: LocalAccount) -> None:
    order = world.order(account_of(signer), BTC, "0.1")
    deadline = world.evm.timestamp + 10
    signed = signature(world, signer, order, 0, deadline)
    world.evm.warp(10)
    with world.evm.trial():
        relay(world, order, signed, deadline=deadline)
    world.evm.warp(1)
    with refused("orders: signature is late"):
        relay(world, order, signed, deadline=deadline)
    with refused("orders: bad signature"):
        relay(world, order, signed, deadline=deadline + 60)


@pytest.mark.parametrize(
    "changed",
    [
        {"size": 2 * WAD},
        {"acceptable": 1},
        {"reduce_only": True},
        {"execution_fee": 1},
        {"salt": 12_345},
        {"instrument": ETH},
        {"kind": LIMIT, "trigger": WAD},
        {"bracket": 1},
    ],
)
def test_relay__no_field_can_be_changed(
    world: World, signer: LocalAccount, changed: dict[str, Any]
) -> None:
    order = world.order(account_of(signer), BTC, 1)
    signed = signature(world, signer, order)
    with refused("orders: bad signature"):
        relay(world, replace(order, **changed), signed)
    with refused("orders: bad signature"):
        relay(world, replace(order, account=account_of(signer, 1)), signed)
    with refused("orders: bad signature"):
        relay(world, order, signed, fee=1)


def test_relay__a_fee_beyond_all_figures(world: World, signer: LocalAccount) -> None:
    order = world.order(account_of(signer), BTC, 1)
    with refused("orders: figure out of range"):
        relay(world, order, signature(world, signer, order, 2**92), fee=2**92)


def test_relay__refusals_use_no_nonce(world: World, signer: LocalAccount) -> None:
    order = world.order(account_of(signer), BTC, 100)
    signed = signature(world, signer, order)
    with refused("account: not enough margin"):
        relay(world, order, signed)
    assert world.orders.used_nonces(signer.address, 0) == 0
    world.deposit(order.account, 2_000_000)
    relay(world, order, signed)


def test_cancel_nonces__by_bit_and_by_their_signer(world: World, signer: LocalAccount) -> None:
    orders = [world.order(account_of(signer), BTC, "0.1", salt=256 + n) for n in (0, 255, 256)]
    world.orders.cancel_nonces(1, 1 | 1 << 255, sender=world.wallet("thief"))
    with world.evm.trial():
        relay(world, orders[0], signature(world, signer, orders[0]))
    world.orders.cancel_nonces(1, 1 | 1 << 255, sender=signer.address)
    (event,) = world.evm.events("NonceUsed")
    assert tuple(event.args) == (signer.address.lower(), 1, 1 | 1 << 255)
    for order in orders[:2]:
        with refused("orders: nonce is used"):
            relay(world, order, signature(world, signer, order))
    relay(world, orders[2], signature(world, signer, orders[2]))


# -- delegates

DELEGATE = "delegate"


def mandated(world: World, account: bytes, **changes: Any) -> None:
    """BTC alone, in this bucket alone, 100,000 USD a day and 10 of fees, for a day."""
    mandate = Mandate(
        expiry=world.evm.timestamp + 86_400,
        instruments=1 << BTC,
        bucket=int.from_bytes(account[20:], "big"),
        daily_usd=100_000,
        daily_fees_usd=10,
    )
    world.orders.set_delegate(
        world.wallet(DELEGATE), astuple(replace(mandate, **changes)), sender=world.owner(account)
    )


def by_delegate(world: World, order: Order) -> bytes:
    return bytes(world.orders.commit(order.as_argument(), sender=world.wallet(DELEGATE)))


@pytest.fixture
def trader(world: World) -> bytes:
    account = world.account("trader")
    world.deposit(account, 20_000)
    return account


def test_delegate__commits_and_cancels_within_his_mandate(world: World, trader: bytes) -> None:
    mandated(world, trader)
    order = world.order(trader, BTC, 1)
    by_delegate(world, order)
    used = (50_000 * WAD, 0)
    assert world.orders.mandate_used(world.owner(trader), world.wallet(DELEGATE)) == used
    (event,) = world.evm.events("MandateUsed")
    day = world.evm.timestamp // 86_400
    assert tuple(event.args) == (world.owner(trader), world.wallet(DELEGATE), day, *used)
    with world.evm.trial():
        world.orders.cancel(order.as_argument(), sender=world.wallet(DELEGATE))
        assert world.assess(trader).reserved == 0
    assert world.execute(order, world.due_slot(order)) == FILLED
    assert world.size(trader, BTC) == WAD


def test_delegate__scope(world: World, trader: bytes) -> None:
    mandated(world, trader)
    with refused("delegate: instrument not in it"):
        by_delegate(world, world.order(trader, ETH, 1))
    with refused("delegate: instrument not in it"):
        by_delegate(world, world.order(trader, 256 + BTC, 1))
    with refused("delegate: bucket not in it"):
        by_delegate(world, world.order(world.account("trader", 1), BTC, "0.1"))
    with refused("account: not the owner"):
        by_delegate(world, world.order(world.account("other"), BTC, "0.1"))
    other = world.account("trader", 2**96 - 1)
    world.deposit(other, 20_000)
    mandated(world, trader, every_bucket=True)
    by_delegate(world, world.order(other, BTC, "0.1"))
    mandated(world, trader, instruments=0)
    with refused("delegate: instrument not in it"):
        by_delegate(world, world.order(trader, BTC, "0.1"))


def test_delegate__until_it_ends(world: World, trader: bytes) -> None:
    expiry = world.evm.timestamp + 60
    mandated(world, trader, expiry=expiry)
    order = world.order(trader, BTC, "0.1", kind=LIMIT, trigger=40_000 * WAD)
    for wrong in (0, expiry + 1):
        with refused("delegate: order outlives it"):
            by_delegate(world, replace(order, expiry=wrong))
    by_delegate(world, replace(order, expiry=expiry))
    with world.evm.trial():
        mandated(world, trader, expiry=0)
        with refused("account: not the owner"):
            by_delegate(world, world.order(trader, BTC, "0.1"))
    world.wait(60)
    by_delegate(world, world.order(trader, BTC, "0.1"))
    world.evm.warp(1)
    with refused("delegate: mandate is over"):
        by_delegate(world, world.order(trader, BTC, "0.1"))
    with refused("delegate: mandate is over"):
        world.orders.cancel(
            replace(order, expiry=expiry).as_argument(), sender=world.wallet(DELEGATE)
        )


def test_delegate__notional_of_a_day(world: World, trader: bytes) -> None:
    world.deposit(trader, 100_000)
    mandated(world, trader, expiry=2**33)
    world.wait(86_400 - world.evm.timestamp % 86_400)  # a day begins
    for size in ("1.2", "-0.8"):
        by_delegate(world, world.order(trader, BTC, size))
    least = world.order(trader, BTC, "0.002")
    with refused("delegate: beyond the day's limit"):
        by_delegate(world, least)
    world.orders.commit(least.as_argument(), sender=world.owner(trader))  # the owner has none
    world.wait(86_399 - world.evm.timestamp % 86_400)
    with refused("delegate: beyond the day's limit"):
        by_delegate(world, replace(least, salt=77))
    world.wait(1)
    by_delegate(world, replace(least, salt=77))


def test_delegate__a_waiting_order_counts_at_its_trigger_if_that_is_more(
    world: World, trader: bytes
) -> None:
    mandated(world, trader, expiry=2**33)
    expiry = world.evm.timestamp + 600
    sell = world.order(trader, BTC, -1, kind=LIMIT, trigger=70_000 * WAD, expiry=expiry)
    by_delegate(world, sell)
    pair = world.owner(trader), world.wallet(DELEGATE)
    assert world.orders.mandate_used(*pair)[0] == 70_000 * WAD
    with refused("delegate: beyond the day's limit"):
        by_delegate(world, replace(sell, trigger=WAD, salt=78))  # at once: 50,000


def test_delegate__may_sign_what_he_may_commit(world: World, trader: bytes) -> None:
    key: LocalAccount = Account.from_key(b"\x08" * 32)
    order = world.order(trader, BTC, 1)
    signed = signature(world, key, order)
    with refused("account: not the owner"):
        relay(world, order, signed, signer=key.address)
    world.orders.set_delegate(
        key.address, (2**40 - 1, 2, True, 0, 60_000, 1), sender=world.owner(trader)
    )
    relay(world, order, signed, signer=key.address)
    again = replace(order, salt=4_711)
    with refused("delegate: beyond the day's limit"):
        relay(world, again, signature(world, key, again), signer=key.address)
    with refused("orders: bad signature"):
        relay(world, again, signature(world, key, again))  # he is not the owner


def test_set_delegate__stores_what_it_is_told(world: World, trader: bytes) -> None:
    owner, delegate = world.owner(trader), world.wallet(DELEGATE)
    full = (2**40 - 1, 2**256 - 1, True, 2**96 - 1, 2**48 - 1, 2**32 - 1)
    assert tuple(world.orders.mandate(owner, delegate)) == (0, 0, False, 0, 0, 0)
    world.orders.set_delegate(delegate, full, sender=owner)
    (event,) = world.evm.events("MandateChanged")
    assert (event.args.owner, event.args.delegate) == (owner, delegate)
    assert tuple(event.args.mandate) == full
    assert tuple(world.orders.mandate(owner, delegate)) == full
    for place in (0, 3, 4, 5):
        wrong = [*full]
        wrong[place] += 1
        with refused("word: value too large"):
            world.orders.set_delegate(delegate, tuple(wrong), sender=owner)
