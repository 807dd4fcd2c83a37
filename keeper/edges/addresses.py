"""The address book that a deployment wrote: where the contracts are, and what ids mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

CONTRACTS = (
    "Clearinghouse",
    "Markets",
    "Losses",
    "OracleHub",
    "Instruments",
    "Volatility",
    "RiskEngine",
    "Orders",
    "Liquidator",
    "Vault",
    "LiquidityPool",
    "Debts",
    "TopUps",
)


class AddressBookError(Exception):
    """An address book that cannot be used; the text says what to do."""


def _address(value: Any) -> bytes:
    if isinstance(value, str) and value.startswith("0x") and len(value) == 42:
        return bytes.fromhex(value[2:])
    raise ValueError("expected an address, 0x and 40 hexadecimal digits")


Address20 = Annotated[bytes, BeforeValidator(_address)]


class AddressBook(BaseModel):
    """One deployment. Keys that are not named here are others' business."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    chain_id: int = Field(ge=1)
    block: int = Field(ge=0)  # before the first contract
    contracts: dict[str, Address20]
    feeds: dict[str, int]  # asset -> id
    instruments: dict[str, int]  # name -> id
    tokens: dict[str, Address20]  # symbol -> address
    reporters: list[Address20] = []

    def address(self, contract: str) -> bytes:
        return self.contracts[contract]

    def feed_name(self, feed: int) -> str:
        return next((name for name, one in self.feeds.items() if one == feed), str(feed))

    def instrument_name(self, instrument: int) -> str:
        found = (name for name, one in self.instruments.items() if one == instrument)
        return next(found, str(instrument))


def load(file: Path) -> AddressBook:
    """Read an address book. Raises AddressBookError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise AddressBookError(
            f"{file}: {error.strerror}: deploy first, or point chain.addresses to the address book"
        ) from None
    except ValueError as error:
        raise AddressBookError(f"{file}: not JSON: {error}") from None
    try:
        book = AddressBook.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise AddressBookError(f"{file}: {key}: {first['msg']}") from None
    missing = [name for name in CONTRACTS if name not in book.contracts]
    if missing:
        raise AddressBookError(f"{file}: contracts: {', '.join(missing)} missing")
    return book
