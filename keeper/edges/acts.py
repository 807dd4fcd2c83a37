"""What the keeper wants done on chain, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from eth_utils.crypto import keccak


class Unsafe(Exception):
    """Going on could do harm: the breaker. The text says what an operator has to look at."""


class Result(StrEnum):
    """What became of an act for now."""

    SENT = "sent"
    KNOWN = "known"  # intended before in this state
    DEFERRED = "deferred"  # not at this moment
    REJECTED = "rejected"  # not in this state
    DRY_RUN = "dry-run"


def _always(_: bytes) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Act:
    """One transaction that the keeper wants mined."""

    kind: str
    subject: str
    state: str  # what it was decided from: the same act in the same state is done once
    to: bytes
    data: bytes
    gas: int  # limit
    payload: Mapping[str, Any] = field(default_factory=dict)  # for people
    seen_at: float | None = None  # monotonic: when the price it follows from was seen
    useful: Callable[[bytes], bool] = _always  # of what the simulation returned
    # what could refuse it was looked at here: simulated only after one of its kind has failed
    checked: bool = False

    @property
    def key(self) -> str:
        """Unique for kind, subject and state."""
        digest = keccak(text=f"{self.kind}|{self.subject}|{self.state}").hex()
        return f"{self.kind}:{digest[:32]}"


@dataclass(frozen=True, slots=True)
class Fee:
    """Wei per gas."""

    max_fee: int
    tip: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A transaction that was mined."""

    kind: str
    succeeded: bool
    block: int
