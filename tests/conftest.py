"""Shared by all layers: the seed of random tests is printed, and can be given."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.stateful.coverage import Coverage

if TYPE_CHECKING:
    from tests.support.world import World

# how fast an example runs says something about the machine, nothing about the law that it tries
settings.register_profile("ballast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ballast")


def pytest_configure(config: pytest.Config) -> None:
    # set before the workers start, so that all of them and their reports agree
    os.environ.setdefault("BALLAST_SEED", str(secrets.randbelow(2**32)))
    os.environ.setdefault("BALLAST_WALK_SEED", os.environ["BALLAST_SEED"])
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Coverage(), "walk-coverage")


def pytest_report_header() -> str:
    return (
        f"seeds: BALLAST_SEED={os.environ['BALLAST_SEED']} "
        f"BALLAST_WALK_SEED={os.environ['BALLAST_WALK_SEED']}"
    )


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of this run; `BALLAST_SEED=... make test` repeats it."""
    return int(os.environ["BALLAST_SEED"])


@pytest.fixture(scope="session")
def walk_seed() -> int:
    """The seed of the random walks, of its own so that one of them can be repeated alone."""
    return int(os.environ["BALLAST_WALK_SEED"])


@pytest.fixture
def world() -> Iterator[World]:
    """The deployed protocol in its first state, on an in-process chain (tests/support/world.py)."""
    from tests.support.world import fresh  # chain-free tests need no contracts compiled

    with fresh() as built:
        yield built
