"""Signed orders in a folder: what is read, and what a bad file says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keeper.core.protocol.state import Order
from keeper.core.relays import SignedOrder
from keeper.core.types import AccountId, Address, InstrumentId
from keeper.edges.inbox import Inbox

ACCOUNT = bytes(range(32))


def content(**changes: Any) -> dict[str, Any]:
    order = {"account": "0x" + ACCOUNT.hex(), "instrument": 2, "size": "-1000000000000000000"}
    return {
        "order": order | {"reduce_only": True, "salt": 7},
        "relay_fee": "250000000000000000",
        "deadline": 1_800_000_000,
        "signer": "0x" + "11" * 20,
        "signature": "0x" + "22" * 65,
    } | changes


def test_read__every_field_in_its_units(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps(content(deadline="9")))
    (tmp_path / "a.json").write_text(json.dumps(content()))
    (tmp_path / "note.txt").write_text("no order")
    first, second = Inbox(tmp_path).read()
    order = Order(AccountId(ACCOUNT), InstrumentId(2), -(10**18), 0, True, 0, 7)
    assert first == SignedOrder(
        order, 25 * 10**16, 1_800_000_000, Address(b"\x11" * 20), b"\x22" * 65
    )
    assert second.deadline == 9


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        json.dumps(content(signer="0x11")),
        json.dumps(content(signature="zz")),
        json.dumps(content(relay_fee=1.5)),
        json.dumps(content(relay_fee=True)),
        json.dumps(content(order={"account": "0x" + "00" * 32, "sise": 1})),
        json.dumps(content(order={"account": "0x" + "00" * 32, "reduce_only": 1})),
        json.dumps({"order": {}}),
    ],
)
def test_read__a_bad_file_stops_no_other(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    (tmp_path / "good.json").write_text(json.dumps(content()))
    inbox = Inbox(tmp_path)
    assert len(inbox.read()) == 1
    assert len(inbox.read()) == 1


def test_read__no_folder_no_orders(tmp_path: Path) -> None:
    assert Inbox(None).read() == []
    assert Inbox(tmp_path / "not there").read() == []
