"""Signed orders that users hand in: a folder with one JSON file each.

    {"order": {"account": "0x…", "instrument": 1, "size": "1000000000000000000", …},
     "relay_fee": "0", "deadline": 1800000000, "signer": "0x…", "signature": "0x…"}

Figures are integers, or decimal integers as text, in the units of IOrders.Order; fields of an
order that are left out are 0. A file that cannot be read is named once in the log, and skipped.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from keeper.core.protocol.state import Order
from keeper.core.relays import SignedOrder
from keeper.core.types import Address
from keeper.edges.telemetry import logger

_FIELDS = tuple(field.name for field in fields(Order))
_MOST = 1_000  # files looked at in one round


class Inbox:
    """The signed orders in a folder; None: there is none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._unreadable: set[str] = set()

    def read(self) -> list[SignedOrder]:
        """What is there now, by name of file."""
        if self._folder is None:
            return []
        found = []
        for file in sorted(self._folder.glob("*.json"))[:_MOST]:
            try:
                found.append(_parsed(json.loads(file.read_text(encoding="utf-8"))))
            except (OSError, ValueError, KeyError, TypeError) as error:
                if file.name not in self._unreadable:
                    self._unreadable.add(file.name)
                    logger().warning("no signed order", file=file.name, fault=repr(error))
        return found


def _parsed(content: Any) -> SignedOrder:
    said = content["order"]
    unknown = set(said) - set(_FIELDS)
    if unknown:
        raise ValueError(f"order has no {', '.join(sorted(unknown))}")
    figures: dict[str, Any] = {
        name: _figure(said.get(name, 0))
        for name in _FIELDS
        if name not in ("account", "reduce_only")
    }
    only = said.get("reduce_only", False)
    if not isinstance(only, bool):
        raise ValueError(f"reduce_only = {only!r}: expected true or false")
    return SignedOrder(
        order=Order(account=_bytes(said["account"], 32), reduce_only=only, **figures),
        relay_fee=_figure(content["relay_fee"]),
        deadline=_figure(content["deadline"]),
        signer=Address(_bytes(content["signer"], 20)),
        signature=bytes.fromhex(content["signature"].removeprefix("0x")),
    )


def _figure(said: Any) -> int:
    if isinstance(said, bool) or not isinstance(said, (int, str)):
        raise ValueError(f"{said!r}: expected an integer, or one as text")
    return int(said)


def _bytes(said: str, length: int) -> Any:
    found = bytes.fromhex(said.removeprefix("0x"))
    if len(found) != length:
        raise ValueError(f"{said}: expected {length} bytes")
    return found
