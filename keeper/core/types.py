"""Names that the whole core speaks in: identities, modes, levels, and a refusal.

Everywhere, money, prices and sizes are WAD integers and times unix seconds, unless the comment
beside a field says otherwise.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NewType

Address = NewType("Address", bytes)  # 20 bytes
AccountId = NewType("AccountId", bytes)  # 32 bytes: owner 20, bucket 12
InstrumentId = NewType("InstrumentId", int)  # 1, 2, 3, …
FeedId = NewType("FeedId", int)  # 1, 2, 3, …

MAX_POSITIONS = 16


class Refused(Exception):
    """An act that the protocol turns down; `reason` is the text that the contract reverts with."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def require(fact: bool, reason: str) -> None:
    """Refuse the act unless the fact holds."""
    if not fact:
        raise Refused(reason)


class Mode(IntEnum):
    """How the requirements of an account's positions add up; DEFAULT is decided by the bucket."""

    DEFAULT = 0
    ISOLATED = 1
    CROSS = 2
    PORTFOLIO = 3


class Level(IntEnum):
    """What an act asks of a stored price (SPEC 4.5); each level asks all of those below it."""

    ANY = 0
    RECENT = 1
    FRESH = 2
    TIGHT = 3


class Status(IntEnum):
    """Where in its life an instrument is (SPEC 10)."""

    OPEN = 0
    REDUCE_ONLY = 1
    HALTED = 2
    DELISTING = 3  # reduce-only, until the moment that was announced
    DUE = 4  # that moment has come, the price has not
    SETTLING = 5  # worth its settlement value, for ever


def account_id(owner: Address, bucket: int) -> AccountId:
    """The account of an owner's bucket (SPEC 1.1); buckets are 0 to 2^96 − 1."""
    return AccountId(owner + bucket.to_bytes(12, "big"))


def owner_of(account: AccountId) -> Address:
    return Address(account[:20])


def bucket_of(account: AccountId) -> int:
    return int.from_bytes(account[20:], "big")
