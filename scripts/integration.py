"""Run the integration tests under Brownie, on real nodes.

    python -m scripts.integration                          # on ganache, then on anvil
    python -m scripts.integration --node anvil -k crash    # the rest goes to pytest

Each node is started by scripts/nodes.py on a free port; ganache gets the contracts built for
shanghai, anvil those for cancun. Brownie finds the node in a configuration of the project's
own under build/, so that nothing is read from or written to the user's home.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from scripts import attach, nodes, roles
from scripts.nodes import ROOT

TESTS = ROOT / "tests" / "integration"
_NO_TESTS_COLLECTED = 5  # pytest's exit status


def run(kind: str, arguments: list[str]) -> int:
    """Run the tests on one node; gives pytest's exit status."""
    with nodes.start(kind, accounts=roles.ACCOUNTS) as node:
        brownie = Path(sys.executable).with_name("brownie")
        command = [str(brownie), "test", str(TESTS.relative_to(ROOT))]
        print(f"-- integration tests on {kind} ({node.hardfork}) at {node.url}", flush=True)
        status = subprocess.run(
            [*command, "--network", attach.NETWORK, *arguments],
            cwd=ROOT,
            env={**os.environ, **attach.environment(node)},
            check=False,
        ).returncode
    return 0 if status == _NO_TESTS_COLLECTED else status


def main() -> int:
    """Run on the nodes of the command line; fails if one run fails."""
    parser = argparse.ArgumentParser(description="Integration tests under Brownie, on real nodes.")
    parser.add_argument("--node", choices=nodes.KINDS, help="one node; both by default")
    options, arguments = parser.parse_known_args()
    if not any(TESTS.glob("test_*.py")):
        print("-- no integration tests yet")
        return 0
    failed = False
    for kind in [options.node] if options.node else nodes.KINDS:
        try:
            failed |= run(kind, arguments) != 0
        except nodes.NodeError as error:
            print(error, file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
