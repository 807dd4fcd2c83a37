"""Several tellings at once, each in a process of its own with a node and a keeper of its own.

A telling's process hears of an interruption from us alone, once, and then takes down what it has
started; should we be gone, its next word finds the pipe broken, with the same end.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from scripts import nodes
from scripts.build import CompileError
from scripts.deploy import DeploymentError
from scripts.parameters import ParameterError
from scripts.price_paths import PricePath
from scripts.story.keeper import KeeperError
from scripts.story.record import Record
from scripts.story.stage import StoryError

STOP_SECONDS = 30.0

REFUSALS = (
    nodes.NodeError,
    ParameterError,
    CompileError,
    DeploymentError,
    KeeperError,
    StoryError,
)


class TellingError(Exception):
    """A telling that did not come to its end; the text says why."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What one process plays."""

    node: str  # kind
    place: str  # name of its address book and of its folder under build/
    path: PricePath
    title: str


def tell_all(tellings: Sequence[Telling], report: Callable[[int, str, int], None]) -> list[Record]:
    """Play all; `report` gets the telling's place in the list, what goes on, and work done.

    Raises TellingError, KeyboardInterrupt; no process is left in either case.
    """
    records: dict[int, Record] = {}
    with _listening(tellings) as listening:
        while listening:
            for connection in wait(list(listening)):
                assert isinstance(connection, Connection)
                number = listening[connection]
                try:
                    kind, *content = connection.recv()
                except EOFError:
                    raise TellingError("a telling broke off; what it said stands above") from None
                if kind == "progress":
                    report(number, *content)
                elif kind == "refused":
                    raise TellingError(content[0])
                else:
                    records[number] = content[0]
                    del listening[connection]
    return [records[number] for number in range(len(tellings))]


@contextmanager
def _listening(tellings: Sequence[Telling]) -> Iterator[dict[Connection, int]]:
    """Start a process for each; hands out where they speak, by their place in the list."""
    context = multiprocessing.get_context("spawn")
    listening: dict[Connection, int] = {}
    processes: list[BaseProcess] = []
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        for number, telling in enumerate(tellings):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_perform, args=(theirs, telling), daemon=False)
            process.start()
            processes.append(process)
            theirs.close()
            listening[ours] = number
        yield listening
    finally:
        # from here on nothing may keep us from taking everything down
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for one in processes:
            one.terminate()
        for one in processes:
            one.join(STOP_SECONDS)
            one.kill()
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _perform(connection: Any, telling: Telling) -> None:
    """The process of one telling."""
    os.setsid()  # Ctrl-C reaches our parent, who tells us
    from scripts.story import tell

    def report(what: str, done: int) -> None:
        connection.send(("progress", what, done))

    with suppress(KeyboardInterrupt, BrokenPipeError):
        try:
            record = tell.tell(telling.node, telling.place, telling.path, telling.title, report)
        except REFUSALS as error:
            connection.send(("refused", str(error)))
        else:
            connection.send(("record", record))
