"""What one account holds, and the two words that the Clearinghouse packs it in (SPEC 1.3)."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.core.types import AccountId, InstrumentId, Mode, bucket_of
from keeper.core.words import Layout

MAX_POSITIONS = 16

HEAD = Layout(cash=-112, reserved=96, id0=16, id1=16, count=5, collateral=8, mode=2, called=1)
_TAIL_IDS = tuple(f"id{place}" for place in range(2, MAX_POSITIONS))
TAIL = Layout(**dict.fromkeys(_TAIL_IDS, 16), call_deadline=32)


@dataclass(frozen=True, slots=True)
class Position:
    """What one account holds of one instrument; size 0 is no position."""

    size: int = 0  # WAD units, > 0 long
    notional: int = 0  # WAD, signed sum of its fills: what it cost
    index: int = 0  # WAD per unit, its side's money index when last settled


FLAT = Position()


@dataclass(frozen=True, slots=True)
class Account:
    """Everything of one account but its positions and collateral amounts."""

    cash: int = 0  # WAD, may be negative
    reserved: int = 0  # WAD, the part of cash that live orders hold
    book: tuple[InstrumentId, ...] = ()  # in the order of opening
    collateral: int = 0  # bit i set: it holds some of collateral token i
    mode: Mode = Mode.DEFAULT
    called: bool = False
    call_deadline: int = 0  # unix seconds

    @property
    def debt(self) -> int:
        """WAD that the account owes the pool line."""
        return max(0, -self.cash)


def mode_of(account: AccountId, record: Account) -> Mode:
    """The mode in force: the one chosen, else cross for bucket 0 and isolated for every other."""
    if record.mode is not Mode.DEFAULT:
        return record.mode
    return Mode.CROSS if bucket_of(account) == 0 else Mode.ISOLATED


def listed(book: tuple[InstrumentId, ...], instrument: InstrumentId) -> tuple[InstrumentId, ...]:
    """The book with one more instrument."""
    return (*book, instrument)


def unlisted(book: tuple[InstrumentId, ...], instrument: InstrumentId) -> tuple[InstrumentId, ...]:
    """The book without one of its instruments, whose place the last one takes."""
    last = book[-1]
    return tuple(last if one == instrument else one for one in book[:-1])


def fits(record: Account) -> bool:
    """Whether cash and reserve fit their fields."""
    return -(1 << 111) <= record.cash < 1 << 111 and 0 <= record.reserved < 1 << 96


def position_fits(position: Position) -> bool:
    """Whether size and notional fit the word that they share."""
    half = 1 << 127
    return -half <= position.size < half and -half <= position.notional < half


def encode(record: Account) -> tuple[int, int]:
    """The account word and its tail; ValueError names a field out of bounds."""
    ids = dict.fromkeys(("id0", "id1", *_TAIL_IDS), 0)
    ids.update({f"id{place}": one for place, one in enumerate(record.book)})
    fields = {
        **ids,
        "cash": record.cash,
        "reserved": record.reserved,
        "count": len(record.book),
        "collateral": record.collateral,
        "mode": record.mode,
        "called": int(record.called),
        "call_deadline": record.call_deadline,
    }
    return HEAD.pack(fields), TAIL.pack(fields)


def decode(head: int, tail: int) -> Account:
    """The account behind its word and its tail."""
    fields = {**HEAD.unpack(head), **TAIL.unpack(tail)}
    return Account(
        cash=fields["cash"],
        reserved=fields["reserved"],
        book=tuple(InstrumentId(fields[f"id{place}"]) for place in range(fields["count"])),
        collateral=fields["collateral"],
        mode=Mode(fields["mode"]),
        called=bool(fields["called"]),
        call_deadline=fields["call_deadline"],
    )
