"""What a refusal means for the keeper: wait, let go, or stop.

The contracts' revert texts are an interface (docs/ERRORS.md): `place: broken fact`. A text that
is not listed is let go: repeating what is not understood helps nobody.
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What to do about a refusal."""

    TRANSIENT = "transient"  # the moment is wrong: the same act may do later
    REJECTED = "rejected"  # the state is wrong: not again before it changes
    FATAL = "fatal"  # an operator is needed


_TRANSIENT = frozenset(
    {
        "oracle: slot in the future",
        "oracle: stale price",
        "oracle: wide confidence",
        "oracle: no price",
        "oracle: slot not in ring",
        "orders: window is open",
        "market: price before request",
        "pool: no request is due",
        "pool: not enough idle",
        "debt: in grace",
        "topup: too soon",
        "topup: not needed",
    }
)

_FATAL = frozenset(
    {
        "oracle: not a reporter",
        "oracle: bad signature",
        "oracle: unknown feed",
        "oracle: too few reports",
        "oracle: too many reports",
        "oracle: reporter twice",
        "oracle: slot off the grid",
    }
)


def kind_of(reason: str) -> Kind:
    """The kind of a revert text."""
    if reason in _TRANSIENT:
        return Kind.TRANSIENT
    if reason in _FATAL:
        return Kind.FATAL
    return Kind.REJECTED


class SendRefusal(StrEnum):
    """Why a node did not take a transaction."""

    KNOWN = "known"  # it has it already
    NONCE_TAKEN = "nonce taken"  # mined or queued: ours, or somebody else's with the key
    UNDERPRICED = "underpriced"  # another of this nonce pays nearly as much
    FUNDS = "funds"  # the sender cannot pay
    REVERTED = "reverted"  # it was taken, mined and reverted
    OTHER = "other"


_REFUSALS = (
    (SendRefusal.KNOWN, ("already known", "known transaction", "already imported")),
    (SendRefusal.UNDERPRICED, ("underpriced", "gas price too low to replace")),
    (SendRefusal.NONCE_TAKEN, ("nonce too low", "correct nonce", "nonce is too low")),
    (SendRefusal.FUNDS, ("insufficient funds", "enough funds", "insufficient balance")),
    (SendRefusal.REVERTED, ("revert", "out of gas", "invalid opcode")),
)


def send_refusal(message: str) -> SendRefusal:
    """The meaning of what nodes say to `eth_sendRawTransaction`; their wordings differ."""
    text = message.lower()
    for refusal, wordings in _REFUSALS:
        if any(wording in text for wording in wordings):
            return refusal
    return SendRefusal.OTHER
