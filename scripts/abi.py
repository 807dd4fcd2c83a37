"""Write the ABI callers rely on to `interfaces/<Name>.json`.

    python -m scripts.abi            # write what differs
    python -m scripts.abi --check    # fail when a file differs, is missing or has no contract

Contracts under `contracts/mocks/` are for tests and have none.
"""

from __future__ import annotations

import argparse
import json
import sys

from scripts import build

INTERFACES = build.ROOT / "interfaces"


def expected() -> dict[str, str]:
    """File name to content, for every contract that callers may meet."""
    names = [
        name
        for name, source in build.deployable_sources().items()
        if "mocks" not in source.relative_to(build.CONTRACTS).parts
    ]
    return {
        f"{name}.json": json.dumps(artifact.abi, indent=2) + "\n"
        for name, artifact in build.artifacts(names=names).items()
    }


def main() -> int:
    """Write or check; 1 when a check fails or a contract does not compile."""
    parser = argparse.ArgumentParser(description="Write or check the ABI files in interfaces/.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail on a difference")
    check = parser.parse_args().check
    try:
        files = expected()
    except build.CompileError as error:
        print(error, file=sys.stderr)
        return 1
    present = {path.name: path.read_text() for path in INTERFACES.glob("*.json")}
    differing = sorted(name for name in {*files, *present} if files.get(name) != present.get(name))
    for name in differing:
        path = INTERFACES / name
        if check:
            print(f"{path.relative_to(build.ROOT)} differs from its contract", file=sys.stderr)
        elif name in files:
            INTERFACES.mkdir(exist_ok=True)
            path.write_text(files[name])
            print(f"wrote {path.relative_to(build.ROOT)}")
        else:
            path.unlink()
            print(f"removed {path.relative_to(build.ROOT)}: it has no contract")
    if check and differing:
        print("run `make abi` and commit the result", file=sys.stderr)
        return 1
    if not differing:
        print(f"{len(files)} ABI files agree with their contracts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
