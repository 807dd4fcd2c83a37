"""A folded state as bytes and back, so that a restart need not read the whole chain again.

The records' own field types say how they are written: integers of any size, bytes as hex,
records and tuples as lists. What was written by another version of the records is refused.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import IntEnum
from functools import cache
from hashlib import sha256
from types import UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints

from keeper.core.accounts import Account, Position
from keeper.core.fold import Book
from keeper.core.interest import Credit
from keeper.core.market import Lines, Market
from keeper.core.protocol.state import (
    Commitment,
    Mandate,
    MandateUse,
    Order,
    Request,
    Side,
    Stage,
    TopUp,
)
from keeper.core.quotes import StoredPrice
from keeper.core.ramps import Ramp
from keeper.core.types import AccountId, Address, FeedId, InstrumentId
from keeper.core.volatility import Estimate

_TABLES: dict[str, tuple[Any, Any]] = {
    "accounts": (AccountId, Account),
    "positions": (tuple[AccountId, InstrumentId], Position),
    "markets": (InstrumentId, Market),
    "ramps": (int, Ramp),
    "estimates": (int, Estimate),
    "prices": (FeedId, StoredPrice),
    "ring": (tuple[FeedId, int], StoredPrice),
    "collateral": (tuple[AccountId, int], int),
    "collateral_total": (int, int),
    "debt_indices": (AccountId, int),
    "debt_due": (AccountId, int),
    "top_ups": (AccountId, TopUp),
    "orders": (Order, Commitment),
    "order_ids": (bytes, Order),
    "brackets": (tuple[AccountId, int], Stage),
    "nonces": (tuple[Address, int], int),
    "mandates": (tuple[Address, Address], Mandate),
    "mandates_used": (tuple[Address, Address], MandateUse),
    "requests": (tuple[Side, Address], Request),
    "touched": (AccountId, tuple[int, int]),
}


class SnapshotError(Exception):
    """Bytes that are no snapshot of these records."""


def dump(book: Book) -> bytes:
    """Everything folded; equal states give equal bytes."""
    tables = {
        name: sorted([_plain(key), _plain(value)] for key, value in getattr(book, name).items())
        for name in _TABLES
    }
    content = {
        "shape": _shape(),
        "tables": tables,
        "lines": _plain(book.lines),
        "credit": _plain(book.credit),
    }
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 1)


def load(book: Book, content: bytes) -> None:
    """Fill an empty book. Raises SnapshotError."""
    try:
        written = json.loads(zlib.decompress(content))
    except (zlib.error, ValueError):
        raise SnapshotError("not a snapshot") from None
    if written.get("shape") != _shape():
        raise SnapshotError("written by another version")
    for name, (key_type, value_type) in _TABLES.items():
        table, key_of, value_of = getattr(book, name), _reader(key_type), _reader(value_type)
        for key, value in written["tables"][name]:
            table[key_of(key)] = value_of(value)
    book.lines = _reader(Lines)(written["lines"])
    book.credit = _reader(Credit)(written["credit"])


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if is_dataclass(value):
        return [_plain(getattr(value, field.name)) for field in fields(value)]
    return value


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """Function from what JSON holds to a value of this type."""
    kind = getattr(kind, "__supertype__", kind)
    if kind is bytes:
        return bytes.fromhex
    if get_origin(kind) is UnionType:
        (inner,) = (_reader(one) for one in get_args(kind) if one is not type(None))
        return lambda value: None if value is None else inner(value)
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        if parts[-1] is Ellipsis:
            one = _reader(parts[0])
            return lambda values: tuple(one(value) for value in values)
        readers = [_reader(part) for part in parts]
        return lambda values: tuple(r(v) for r, v in zip(readers, values, strict=True))
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        columns = [_reader(hints[field.name]) for field in fields(kind)]
        make = cast(Callable[..., Any], kind)
        return lambda values: make(*(r(v) for r, v in zip(columns, values, strict=True)))
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return kind
    return _same


def _same(value: Any) -> Any:
    return value


@cache
def _shape() -> str:
    """A digest of every record's fields: differs when a snapshot cannot be read back."""
    named = [(name, *map(_described, pair)) for name, pair in sorted(_TABLES.items())]
    return sha256(repr([named, _described(Lines), _described(Credit)]).encode()).hexdigest()[:16]


def _described(kind: Any) -> Any:
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return [(field.name, _described(hints[field.name])) for field in fields(kind)]
    return str(kind)
