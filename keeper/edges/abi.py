"""Calls and logs in the contracts' ABI; the ABI files travel with the package.

They are the repository's `interfaces/*.json`: the folder `abi` is a link to them in a checkout and
holds them in an installed keeper.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_typing import ABIEvent, ABIFunction
from eth_utils.abi import (
    abi_to_signature,
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
)


class AbiError(Exception):
    """An ABI that is missing or does not have what is asked for."""


class Function:
    """One external function: arguments to call data, return data to values."""

    def __init__(self, abi: ABIFunction) -> None:
        self.signature = abi_to_signature(abi)
        self.selector = bytes(function_abi_to_4byte_selector(abi))
        self.inputs = [collapse_if_tuple(one) for one in abi.get("inputs", [])]
        outputs = abi.get("outputs", [])
        self._outputs = [collapse_if_tuple(one) for one in outputs]
        struct = len(outputs) == 1 and outputs[0]["type"] == "tuple"
        self._fields = [str(one["name"]) for one in outputs[0]["components"]] if struct else None

    def data(self, *values: Any) -> bytes:
        """Call data for these arguments."""
        return self.selector + encode(self.inputs, values)

    def values(self, returned: bytes) -> Any:
        """What came back: one value itself, a struct as a dict, several values as a tuple.

        Raises AbiError when it is no answer of this function, or of no contract at all.
        """
        try:
            values = decode(self._outputs, returned)
        except DecodingError:
            raise AbiError(
                f"{self.signature} answered with {len(returned)} bytes that are not its own: "
                "another contract, or none, is at that address"
            ) from None
        if self._fields is not None:
            return dict(zip(self._fields, values[0], strict=True))
        return values[0] if len(values) == 1 else values


class Event:
    """One event: topics and data to named values."""

    def __init__(self, contract: str, abi: ABIEvent) -> None:
        self.contract = contract
        self.name = str(abi["name"])
        self.topic = bytes(event_abi_to_log_topic(abi))
        inputs = abi.get("inputs", [])
        self._indexed = [
            (str(one["name"]), collapse_if_tuple(one)) for one in inputs if one.get("indexed")
        ]
        self._plain = [str(one["name"]) for one in inputs if not one.get("indexed")]
        self._addresses = [str(one["name"]) for one in inputs if one["type"] == "address"]
        self._types = [collapse_if_tuple(one) for one in inputs if not one.get("indexed")]

    def values(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """Arguments by name, addresses as bytes. Raises AbiError for a log of another shape."""
        if len(topics) != len(self._indexed) + 1:
            raise AbiError(f"{self.contract}.{self.name}: a log with {len(topics)} topics")
        try:
            values = dict(zip(self._plain, decode(self._types, data), strict=True))
            for (name, kind), topic in zip(self._indexed, topics[1:], strict=True):
                values[name] = decode([kind], topic)[0]
        except (DecodingError, ValueError) as error:
            raise AbiError(f"{self.contract}.{self.name}: not decodable: {error}") from None
        for name in self._addresses:
            values[name] = bytes.fromhex(values[name][2:])
        return values


class Contract:
    """The functions and events of one contract by name."""

    def __init__(self, name: str, abi: Sequence[Mapping[str, Any]]) -> None:
        self.name = name
        self._functions: dict[str, list[Function]] = {}
        self.events: dict[bytes, Event] = {}  # by topic
        for entry in abi:
            if entry["type"] == "function":
                function = Function(cast(ABIFunction, entry))
                self._functions.setdefault(str(entry["name"]), []).append(function)
            elif entry["type"] == "event":
                event = Event(name, cast(ABIEvent, entry))
                self.events[event.topic] = event

    def function(self, name: str, inputs: int | None = None) -> Function:
        """A function by name and, where default arguments make several of it, number of inputs.

        Raises AbiError when there is none.
        """
        for function in self._functions.get(name, ()):
            if inputs is None or len(function.inputs) == inputs:
                return function
        raise AbiError(f"{self.name} has no function {name}: the keeper and the contracts differ")


@cache
def contract(name: str) -> Contract:
    """Load one contract's ABI. Raises AbiError when the file is missing or unreadable."""
    file = Path(str(files("keeper"))) / "abi" / f"{name}.json"
    try:
        abi = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AbiError(f"no ABI of {name} ({file.name}): reinstall the keeper: {error}") from None
    return Contract(name, abi)


def _erc20(name: str, *inputs: str) -> Function:
    """A view of a token that answers with an amount."""
    fields: list[Any] = [{"name": "", "type": kind} for kind in inputs]
    amount: list[Any] = [{"name": "", "type": "uint256"}]
    return Function(
        {"type": "function", "name": name, "inputs": fields, "outputs": amount,
         "stateMutability": "view"}
    )  # fmt: skip


BALANCE_OF = _erc20("balanceOf", "address")
ALLOWANCE = _erc20("allowance", "address", "address")
