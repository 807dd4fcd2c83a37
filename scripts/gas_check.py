"""Compare the gas of every act with the checked-in tests/gas/gas.json: every unit counts.

    python -m scripts.gas_check      # part of `make lint`

A change is made on purpose: `make bench ARGS=--update` writes the file, its diff is reviewed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping

from scripts import bench, build, nodes
from scripts.bench import CHECKED_IN, Figures

HINT = "make bench ARGS=--update, and commit the file with the change that caused it"


def differences(expected: Mapping[str, Figures], found: Mapping[str, Figures]) -> Iterator[str]:
    """One line per figure that is not as expected, missing or unknown."""
    for evm in sorted({*expected, *found}):
        before, now = expected.get(evm, {}), found.get(evm, {})
        for name in dict.fromkeys((*before, *now)):
            if name not in now:
                yield f"{evm}.{name}: nothing measures it"
            elif name not in before:
                yield f"{evm}.{name}: {now[name]:,}, not in the file"
            elif before[name] != now[name]:
                change = now[name] - before[name]
                yield f"{evm}.{name}: {now[name]:,}, was {before[name]:,} ({change:+,})"


def main() -> int:
    """1 when a figure differs, or nothing can be measured."""
    place = CHECKED_IN.relative_to(build.ROOT)
    try:
        expected = json.loads(CHECKED_IN.read_text())
    except FileNotFoundError:
        print(f"{place} is missing: {HINT}", file=sys.stderr)
        return 1
    try:
        found = bench.measure_all()
    except (nodes.NodeError, build.CompileError) as error:
        print(error, file=sys.stderr)
        return 1
    changed = list(differences(expected, found))
    if changed:
        print(*changed, f"gas differs from {place}: {HINT}", sep="\n", file=sys.stderr)
        return 1
    print(f"{sum(map(len, found.values()))} gas figures are those of {place}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
