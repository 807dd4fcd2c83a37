"""The node: JSON-RPC requests, alone and in batches, with failures told apart.

`Unreachable`: no usable answer; ask again later. `RpcError`: the node answered that it will not.
Nothing is repeated here: a request that may have had an effect is the caller's to look into.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from web3 import HTTPProvider
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

_ERROR_STRING = "08c379a0"
_PANIC = "4e487b71"
_REVERT_TEXT = re.compile(r"revert(?:ed)?(?: with reason string)?:? '?(.+?)'?$")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Unreachable(Exception):
    """The endpoint gave no usable answer. The text never holds its address."""


class RpcError(Exception):
    """The node refused: `code` and `message` are its own, `reason` the revert text or ''."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.reason = _reason(message, data)

    @property
    def reverted(self) -> bool:
        """Whether the EVM refused, not the node."""
        return bool(self.reason)


@dataclass(frozen=True, slots=True)
class Header:
    """What the keeper needs of a block."""

    number: int
    hash: bytes
    parent: bytes
    timestamp: int  # unix seconds
    base_fee: int  # wei per gas; 0 before the fee market
    gas_limit: int


@dataclass(frozen=True, slots=True)
class Call:
    """One read of a contract."""

    to: bytes
    data: bytes
    sender: bytes | None = None
    gas: int | None = None

    def params(self) -> dict[str, str]:
        params = {"to": hex_of(self.to), "data": hex_of(self.data)}
        if self.sender is not None:
            params["from"] = hex_of(self.sender)
        if self.gas is not None:
            params["gas"] = hex(self.gas)
        return params


Request = tuple[str, list[Any]]


class Chain:
    """One endpoint. Not for several threads at a time."""

    def __init__(self, url: str, timeout: float = 10.0, batch: int = 200) -> None:
        session = requests.Session()
        session.trust_env = urlsplit(url).hostname not in _LOOPBACK  # no proxy to ourselves
        self._provider = HTTPProvider(
            url,
            request_kwargs={"timeout": timeout},
            session=session,
            # web3 would repeat requests by itself, sends included
            exception_retry_configuration=None,
        )
        self._batch = batch

    def request(self, method: str, *params: Any) -> Any:
        """The result of one request. Raises Unreachable or RpcError."""
        try:
            answer = self._provider.make_request(RPCEndpoint(method), list(params))
        except (requests.RequestException, Web3Exception, ValueError, OSError) as error:
            raise Unreachable(f"{method}: {type(error).__name__}") from None
        return _result(method, answer)

    def batch(self, wanted: Sequence[Request]) -> list[Any]:
        """Results in the order asked; a refused one is its RpcError, in its place."""
        results: list[Any] = []
        while len(results) < len(wanted):
            part = wanted[len(results) : len(results) + self._batch]
            results += self._one_batch(part)
        return results

    def _one_batch(self, part: Sequence[Request]) -> list[Any]:
        calls = [(RPCEndpoint(method), params) for method, params in part]
        try:
            answers = self._provider.make_batch_request(calls)
        except (requests.RequestException, Web3Exception, ValueError, KeyError, OSError) as error:
            raise Unreachable(f"batch of {len(part)}: {type(error).__name__}") from None
        if not isinstance(answers, list) or len(answers) != len(part):
            if len(part) == 1:
                raise Unreachable(f"{part[0][0]}: no answer in a batch")
            # some endpoints refuse a batch as a whole when it is too large: remember a smaller one
            self._batch = max(1, len(part) // 2)
            half = len(part) // 2
            return self._one_batch(part[:half]) + self._one_batch(part[half:])
        results: list[Any] = []
        for (method, _), answer in zip(part, answers, strict=True):
            try:
                results.append(_result(method, answer))
            except RpcError as error:
                results.append(error)
        return results

    def chain_id(self) -> int:
        return int(self.request("eth_chainId"), 16)

    def header(self, block: int | str) -> Header:
        """A block by number or tag. Raises Unreachable when the node does not have it."""
        method, params = header_request(block)
        return header_of(self.request(method, *params))

    def calls(self, wanted: Sequence[Call], block: Header) -> list[bytes | RpcError]:
        """Reads at one pinned block. Raises Unreachable when the node has left that block."""
        at = hex(block.number)
        asked: list[Request] = [("eth_call", [call.params(), at]) for call in wanted]
        *answers, seen = self.batch([*asked, header_request(block.number)])
        if isinstance(seen, RpcError) or seen is None or header_of(seen).hash != block.hash:
            raise Unreachable(f"block {block.number} is no longer in the chain")
        return [one if isinstance(one, RpcError) else bytes_of(one) for one in answers]

    def call(self, call: Call, block: int | str = "latest") -> bytes:
        """One read. Raises RpcError with its reason when it reverts."""
        at = hex(block) if isinstance(block, int) else block
        return bytes_of(self.request("eth_call", call.params(), at))


def header_request(block: int | str) -> Request:
    """The request behind `header_of`."""
    return "eth_getBlockByNumber", [hex(block) if isinstance(block, int) else block, False]


def header_of(answer: Any) -> Header:
    """Raises Unreachable for a block that the node does not have."""
    if not isinstance(answer, dict):
        raise Unreachable("the node does not have the block")
    return Header(
        number=int(answer["number"], 16),
        hash=bytes_of(answer["hash"]),
        parent=bytes_of(answer["parentHash"]),
        timestamp=int(answer["timestamp"], 16),
        base_fee=int(answer.get("baseFeePerGas") or "0x0", 16),
        gas_limit=int(answer["gasLimit"], 16),
    )


def hex_of(value: bytes) -> str:
    return "0x" + value.hex()


def bytes_of(value: str) -> bytes:
    return bytes.fromhex(value[2:])


def _result(method: str, answer: Any) -> Any:
    if not isinstance(answer, dict):
        raise Unreachable(f"{method}: the answer is not a JSON-RPC object")
    error = answer.get("error")
    if error is not None:
        if not isinstance(error, dict):
            raise RpcError(0, str(error))
        raise RpcError(int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))
    if "result" not in answer:
        raise Unreachable(f"{method}: neither result nor error in the answer")
    return answer["result"]


def _reason(message: str, data: Any) -> str:
    """The revert text: from the returned data where there is some, else from the message."""
    blob = data if isinstance(data, str) else ""
    if isinstance(data, dict):
        blob = str(data.get("result") or data.get("data") or "")
    payload = blob.removeprefix("0x")
    try:
        if payload.startswith(_ERROR_STRING):
            return str(decode(["string"], bytes.fromhex(payload[8:]))[0])
        if payload.startswith(_PANIC):
            return f"panic {int(payload[8:72], 16):#x}"
    except (ValueError, DecodingError):
        pass  # cut or not hexadecimal: what the message says is all there is
    found = _REVERT_TEXT.search(message)
    if found:
        return found.group(1)
    for word, reason in (("revert", "reverted without a reason"), ("out of gas", "out of gas")):
        if word in message.lower():
            return reason
    return ""
