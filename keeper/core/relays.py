"""Orders that come signed: which of them to bring now (SPEC 6.9)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from keeper.core.fold import Book
from keeper.core.protocol.state import Order
from keeper.core.types import Address


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """An order with what its signer has said beside it."""

    order: Order
    relay_fee: int  # WAD, from the account to who brings it
    deadline: int  # unix seconds, the last moment to bring it
    signer: Address
    signature: bytes


def relays(book: Book, signed: Iterable[SignedOrder], least_fee: int) -> list[SignedOrder]:
    """What can be brought and pays at least `least_fee` (WAD), the best paid first.

    Left out: what is late, was brought or cancelled before, or is live already. Whether the
    signature and the margin are good the simulation of the call says.
    """
    found = [
        one
        for one in signed
        if book.now <= one.deadline
        and one.relay_fee >= least_fee
        and not book.nonces[one.signer, one.order.salt >> 8] >> (one.order.salt & 255) & 1
        and book.orders[one.order] is None
    ]
    return sorted(found, key=lambda one: (-one.relay_fee, one.signer, one.order.salt))
