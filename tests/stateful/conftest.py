"""The walk's seed, and what its shards have met, added up over all workers."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from typing import Any

import pytest

from tests.stateful.expected import missing
from tests.stateful.walk import Tally, table

ENOUGH = 100_000  # acts from which on every expected ending must have been met


def pytest_configure(config: pytest.Config) -> None:
    # set before the workers start, so that all of them agree
    os.environ.setdefault("BALLAST_WALK_SEED", str(secrets.randbelow(2**32)))
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Coverage(), "walk-coverage")


@pytest.fixture(scope="session")
def walk_seed() -> int:
    """The seed of this run's walks; `BALLAST_WALK_SEED` in the environment repeats it."""
    return int(os.environ["BALLAST_WALK_SEED"])


class Coverage:
    """Adds up the endings that all shards report, and fails a long run that missed some."""

    def __init__(self) -> None:
        self.tally: Tally = Counter()
        self.failed = False

    def pytest_runtest_logreport(self, report: Any) -> None:
        for name, value in report.user_properties:
            if name == "walk" and report.when == "call":
                for act, label, count in value:
                    self.tally[act, label] += count
                self.failed |= report.failed

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._missing() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.tally:
            return
        acts = sum(self.tally.values())
        seed = os.environ["BALLAST_WALK_SEED"]
        terminalreporter.section(f"walk: {acts:,} acts, BALLAST_WALK_SEED={seed}")
        terminalreporter.write_line(table(self.tally))
        for ending in self._missing():
            terminalreporter.write_line(f"never met: {ending}", red=True)

    def _missing(self) -> list[str]:
        return missing(self.tally) if sum(self.tally.values()) >= ENOUGH else []
