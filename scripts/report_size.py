"""Print the size of every contract for both EVM versions; fail over the limit of EIP-170."""

from __future__ import annotations

import sys

from scripts import build


def main() -> int:
    """Table on standard output; 1 when a contract is too large or does not compile."""
    try:
        compiled = {evm: build.artifacts(evm) for evm in build.EVM_VERSIONS}
    except build.CompileError as error:
        print(error, file=sys.stderr)
        return 1
    names = sorted(build.deployable_sources())
    print(f"{'bytes of deployed code':<24}" + "".join(f"{evm:>10}" for evm in compiled) + "   room")
    too_large = []
    for name in names:
        sizes = [artifacts[name].size for artifacts in compiled.values()]
        room = build.SIZE_LIMIT - max(sizes)
        print(f"{name:<24}" + "".join(f"{size:>10,}" for size in sizes) + f"{room:>7,}")
        if room < 0:
            too_large.append(f"{name} is {-room:,} bytes over {build.SIZE_LIMIT:,}")
    for line in too_large:
        print(f"{line}: split it, or compile it for size", file=sys.stderr)
    return int(bool(too_large))


if __name__ == "__main__":
    sys.exit(main())
