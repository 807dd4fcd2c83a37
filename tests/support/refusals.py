"""Expect a contract to refuse, with exactly this text."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.evm import Revert


def refused(reason: str) -> Any:
    """`with refused("oracle: stale price"): ...` fails when the call passes or says otherwise."""
    return pytest.raises(Revert, match=f"^{re.escape(reason)}$")
