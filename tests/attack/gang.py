"""What somebody with many accounts owns together, and the moves that attacks are made of.

A gang is a list of accounts; `worth` of it before and after says whether an attack paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from keeper.core.market import Lines
from tests.support.world import BTC, USD, WAD, Number, Order, World

NATIVE = WAD // USD  # WAD of a native unit


def gang(world: World, name: str, count: int, usd: Number, bucket: int = 0) -> list[bytes]:
    """Accounts of so many wallets, each with this cash."""
    accounts = [world.account(f"{name} {i}", bucket) for i in range(count)]
    for account in accounts:
        world.deposit(account, usd)
    return accounts


def worth(world: World, accounts: Sequence[bytes]) -> Decimal:
    """USD in the wallets and accounts; an account below zero is abandoned and counts for 0."""
    wallets = {world.owner(account) for account in accounts}
    tokens = sum(world.usdc.balanceOf(wallet) * NATIVE for wallet in wallets)
    equity = sum(max(0, world.assess(account).equity) for account in accounts)
    return Decimal(tokens + equity) / WAD


def take_out(world: World, account: bytes) -> None:
    """Withdraw all that margin lets go."""
    assessed = world.assess(account)
    free = min(assessed.equity_initial - assessed.initial, assessed.cash - assessed.owed)
    if free >= NATIVE:
        owner = world.owner(account)
        world.clearinghouse.withdraw(account, free // NATIVE, owner, sender=owner)


def hedged_pairs(world: World) -> tuple[list[bytes], list[bytes]]:
    """(shorts, longs) of one attacker in isolated buckets, 37.5 M USD each, no more margin in
    them than needed."""
    shorts, longs = (gang(world, name, 5, 1_000_000, bucket=1) for name in ("short", "long"))
    for short, long in zip(shorts, longs, strict=True):
        world.open_position(long, BTC, 100)
        world.open_position(short, BTC, -150)
        world.open_position(long, BTC, 50)
    for account in shorts + longs:
        take_out(world, account)
    return shorts, longs


def close(world: World, accounts: Sequence[bytes], instrument: int) -> list[int]:
    """Each that has a position closes it, at the stored price, in this order; the statuses."""
    price = world.price(instrument)
    orders = [
        world.order(
            account,
            instrument,
            Decimal(-world.size(account, instrument)) / WAD,
            reduce_only=True,
        )
        for account in accounts
        if world.size(account, instrument)
    ]
    for order in orders:
        world.commit(order)
    return execute_all(world, orders, price)


def execute_all(world: World, orders: Sequence[Order], price: Number) -> list[int]:
    """Execute at the slot in which all are due; the statuses."""
    if not orders:
        return []
    slot = world.due_slot(orders[-1], price)
    return [world.execute(order, slot) for order in orders]


def lines(world: World) -> Lines:
    """Pool, insurance, protocol, and the pool's marks as of each instrument's last accrual."""
    return Lines(*world.markets.ledger())
