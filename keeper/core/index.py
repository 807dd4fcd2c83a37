"""The protocol's state at one block of one chain: folded from logs, and taken back again.

A reorganisation of the chain is a rollback to the last common block, not an error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from keeper.core.fold import Book, Constants, Log
from keeper.core.protocol.state import Change

DEPTH = 256  # blocks that can be taken back


class RolledTooFar(Exception):
    """The chain changed below what the index can take back: fold it anew."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A block up to which the index is folded."""

    number: int
    hash: bytes
    time: int  # unix seconds


class Index(Book):
    """The state of the protocol, and how to take back its last blocks."""

    def __init__(self, constants: Constants, depth: int = DEPTH) -> None:
        super().__init__(constants)
        self._depth = depth
        self._folded: deque[tuple[Checkpoint, list[Change]]] = deque()

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The block that the state is of; None before the first."""
        return self._folded[-1][0] if self._folded else None

    def known(self) -> list[Checkpoint]:
        """Blocks that a rollback can go to, newest first."""
        return [checkpoint for checkpoint, _ in reversed(self._folded)]

    def start_at(self, checkpoint: Checkpoint) -> None:
        """Say of which block a state that was not folded here (a snapshot, nothing) is."""
        self._folded.clear()
        self._undo.clear()
        self._folded.append((checkpoint, []))
        self.now = checkpoint.time

    def fold(self, logs: Iterable[Log], checkpoint: Checkpoint) -> None:
        """Apply the logs of the next blocks, up to and including `checkpoint`, in order."""
        try:
            for log in logs:
                self.apply(log)
        except Exception:  # half a block is no state: leave the one before it
            self.take_back(self._undo)
            raise
        self.now = checkpoint.time
        self._folded.append((checkpoint, self._undo[:]))
        self._undo.clear()
        if len(self._folded) > self._depth:
            self._folded.popleft()

    def rollback(self, number: int) -> None:
        """Take back every block above `number`, a known one; else RolledTooFar."""
        if all(checkpoint.number != number for checkpoint, _ in self._folded):
            raise RolledTooFar(f"block {number}")
        while self._folded[-1][0].number > number:
            _, changes = self._folded.pop()
            self.take_back(changes)
        self.now = self._folded[-1][0].time
        self.constants_stale = True
