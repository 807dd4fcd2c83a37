"""Worlds whose figures stand still, for numbers that were worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.staffed import House
from tests.support.world import WORKED, World, fresh


@pytest.fixture
def worked() -> Iterator[World]:
    """Deployed with the figures of tests/support/worked.toml."""
    with fresh(market=WORKED) as built:
        yield built


@pytest.fixture
def staffed() -> Iterator[World]:
    """The same with a wallet in the place of Orders (tests/support/staffed.py)."""
    with fresh("Orders", market=WORKED) as built:
        yield built


@pytest.fixture
def house(worked: World) -> House:
    """Markets alone, with those figures."""
    return House(worked)
