"""200,000 random acts on the real bytecode, equal to the reference model to the last unit.

`BALLAST_WALK_ACTS` changes how many; `BALLAST_WALK_SEED`, which is printed, repeats a run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests.stateful.coverage import Tally
from tests.stateful.walk import walk

ACTS = int(os.environ.get("BALLAST_WALK_ACTS", "200000"))
SHARDS = 20
ACTS_PER_WALK = 2_500  # then a new world, with other figures

SEED_STRIDE = 1_000_003


@pytest.mark.parametrize("shard", range(SHARDS))
def test_bytecode_equals_model(
    shard: int, walk_seed: int, record_property: Callable[[str, object], None]
) -> None:
    """Every act ends alike, every word after it is equal, every law holds (see laws, checks)."""
    left = ACTS // SHARDS + (shard < ACTS % SHARDS)
    tally: Tally = Counter()
    round_ = 0
    while left > 0:
        seed = (walk_seed + SEED_STRIDE * shard + round_) % 2**32
        acts = min(left, ACTS_PER_WALK)
        tally += walk(seed, acts)
        left -= acts
        round_ += 1
    record_property("walk", [(name, label, count) for (name, label), count in tally.items()])
