"""Logs of the contracts: asked for in ranges that adapt, decoded, and followed through reorgs.

The index is always of one block of one chain: a range's logs are believed only when the node
still has the same block at its end, and the block of the last checkpoint at its start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keeper.core.fold import Log
from keeper.core.index import Checkpoint, Index, RolledTooFar
from keeper.edges import abi
from keeper.edges.addresses import CONTRACTS, AddressBook
from keeper.edges.chain import (
    Chain,
    Header,
    Request,
    RpcError,
    Unreachable,
    bytes_of,
    header_of,
    header_request,
    hex_of,
)
from keeper.edges.telemetry import Metrics, logger

_GROW = 1.5  # of the range after one that went well
_TRY_AGAIN = 200  # ranges that went well until one that was refused is tried again
_COMMON_ASKED = 16  # known blocks looked at in one step when searching the common one


class Follower:
    """Brings an index to a head, taking back what a reorganisation has undone."""

    def __init__(self, chain: Chain, book: AddressBook, metrics: Metrics, log_range: int) -> None:
        self._chain, self._metrics = chain, metrics
        self._addresses = [hex_of(book.address(name)) for name in CONTRACTS]
        self._events: dict[tuple[str, bytes], abi.Event] = {}
        for name in CONTRACTS:
            for event in abi.contract(name).events.values():
                self._events[hex_of(book.address(name)), event.topic] = event
        self._most = self._range = log_range
        self._refused, self._since = log_range + 1, 0  # smallest range refused, and how long ago

    def follow(self, index: Index, head: Header) -> int | None:
        """Fold up to `head`. Returns the block rolled back to when there was a reorg.

        Raises Unreachable when the node does not tell one story; RolledTooFar when the common
        block lies below what the index remembers.
        """
        forked = None
        at = self._checkpoint(index)
        if head.number <= at.number or (head.number == at.number + 1 and head.parent != at.hash):
            if any(head.hash == one.hash for one in index.known()):
                return None  # where we are, or a node that lags behind on the same chain
            forked = self._roll_back(index, head)
            at = self._checkpoint(index)
        while at.number < head.number:
            last = min(head.number, at.number + self._range)
            upper = head if last == head.number else self._chain.header(last)
            logs = self._logs(at, upper)
            if logs is None:  # the checkpoint's block is gone
                forked = self._roll_back(index, head)
            else:
                self._fold(index, logs, upper)
            at = self._checkpoint(index)
        return forked

    @staticmethod
    def _checkpoint(index: Index) -> Checkpoint:
        if index.checkpoint is None:
            raise ValueError("an index without a block to start at")
        return index.checkpoint

    def _logs(self, at: Checkpoint, upper: Header) -> list[dict[str, Any]] | None:
        """Raw logs above `at` up to `upper`; None when the chain no longer holds `at`."""
        wanted = {
            "fromBlock": hex(at.number + 1),
            "toBlock": hex(upper.number),
            "address": self._addresses,
        }
        requests: list[Request] = [
            header_request(at.number),
            ("eth_getLogs", [wanted]),
            header_request(upper.number),
        ]
        lower, logs, seen = self._chain.batch(requests)
        if isinstance(logs, RpcError):
            self._refused, self._since = self._range, 0
            self._range = max(1, self._range // 2)
            logger().info("logs refused", text=logs.message, range=self._range)
            raise Unreachable("eth_getLogs refused")
        if isinstance(lower, RpcError) or isinstance(seen, RpcError):
            raise Unreachable("eth_getBlockByNumber refused")
        if header_of(lower).hash != at.hash:
            return None
        if header_of(seen).hash != upper.hash:
            raise Unreachable(f"block {upper.number} changed while it was read")
        self._since += 1
        if self._since == _TRY_AGAIN:
            self._refused = self._most + 1
        self._range = max(1, min(self._refused - 1, int(self._range * _GROW) + 1))
        return list(logs)

    def _fold(self, index: Index, raw: list[dict[str, Any]], upper: Header) -> None:
        """Fold block by block, so that each can be taken back alone."""
        by_block: dict[int, list[dict[str, Any]]] = {}
        for log in raw:
            if log.get("removed"):
                raise Unreachable("a removed log among a block's logs")
            by_block.setdefault(int(log["blockNumber"], 16), []).append(log)
        times = self._times(by_block, upper)
        for number, logs in sorted(by_block.items()):
            block_hash = bytes_of(logs[0]["blockHash"])
            if any(bytes_of(log["blockHash"]) != block_hash for log in logs):
                raise Unreachable(f"logs of two blocks {number}")
            if number == upper.number and block_hash != upper.hash:
                raise Unreachable(f"logs of another block {number}")
            checkpoint = Checkpoint(number, block_hash, times[number])
            index.fold(self._decoded(logs, times[number]), checkpoint)
        if upper.number not in by_block:
            index.fold((), Checkpoint(upper.number, upper.hash, upper.timestamp))

    def _times(self, by_block: dict[int, list[dict[str, Any]]], upper: Header) -> dict[int, int]:
        """Timestamps of the blocks that have logs."""
        others = [number for number in by_block if number != upper.number]
        times = {upper.number: upper.timestamp}
        answers = self._chain.batch([header_request(number) for number in others])
        for number, answer in zip(others, answers, strict=True):
            header = header_of(answer)
            if header.hash != bytes_of(by_block[number][0]["blockHash"]):
                raise Unreachable(f"block {number} changed while it was read")
            times[number] = header.timestamp
        return times

    def _decoded(self, logs: list[dict[str, Any]], time: int) -> Iterator[Log]:
        for log in sorted(logs, key=lambda one: int(one["logIndex"], 16)):
            topics = [bytes_of(topic) for topic in log["topics"]]
            event = self._events.get((log["address"].lower(), topics[0]))
            if event is None:
                raise abi.AbiError(
                    f"an event that is not in the ABI, in block {int(log['blockNumber'], 16)}: "
                    "the keeper and the contracts differ"
                )
            yield Log(
                name=event.name,
                args=event.values(topics, bytes_of(log["data"])),
                block=int(log["blockNumber"], 16),
                time=time,
                place=int(log["logIndex"], 16),
            )

    def _roll_back(self, index: Index, head: Header) -> int:
        """Take the index back to the newest known block that the chain still holds."""
        known = [one for one in index.known() if one.number <= head.number]
        for start in range(0, len(known), _COMMON_ASKED):
            part = known[start : start + _COMMON_ASKED]
            answers = self._chain.batch([header_request(one.number) for one in part])
            for checkpoint, answer in zip(part, answers, strict=True):
                if isinstance(answer, dict) and header_of(answer).hash == checkpoint.hash:
                    index.rollback(checkpoint.number)
                    self._metrics.reorgs.inc()
                    logger().warning("reorganised", to=checkpoint.number, head=head.number)
                    return checkpoint.number
        raise RolledTooFar(f"no common block among the last {len(known)}")
