"""What the walks of a run have met, added up over all workers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.stateful.expected import missing, undone

Tally = Counter[tuple[str, str]]  # (act, how it ended): how often

ENOUGH = 100_000  # acts from which on every act must have been done
DEEP = 1_000_000  # and from which on every expected ending must have been met: some are rare


class Coverage:
    """Adds up the endings that all shards report, and fails a long run that missed some."""

    def __init__(self) -> None:
        self.tally: Tally = Counter()

    def pytest_runtest_logreport(self, report: Any) -> None:
        for name, value in report.user_properties:
            if name == "walk" and report.when == "call":
                for act, label, count in value:
                    self.tally[act, label] += count

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._missing() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.tally:
            return
        acts, seed = sum(self.tally.values()), os.environ["BALLAST_WALK_SEED"]
        terminalreporter.section(f"walk: {acts:,} acts, BALLAST_WALK_SEED={seed}")
        terminalreporter.write_line(table(self.tally))
        for ending in self._missing():
            terminalreporter.write_line(f"never met: {ending}", red=True)

    def _missing(self) -> list[str]:
        acts = sum(self.tally.values())
        if acts >= DEEP:
            return missing(self.tally)
        return undone(self.tally) if acts >= ENOUGH else []


def table(tally: Mapping[tuple[str, str], int]) -> str:
    """How often each act ended in which way."""
    lines = []
    for name in sorted({name for name, _ in tally}):
        ends = sorted(
            ((count, label) for (one, label), count in tally.items() if one == name), reverse=True
        )
        shown = ", ".join(f"{label} {count}" for count, label in ends)
        lines.append(f"{name:24}{shown}")
    return "\n".join(lines)
