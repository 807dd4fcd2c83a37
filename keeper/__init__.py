"""The keeper of Ballast: indexes the protocol from its logs and does what is due.

`keeper.core` takes values and returns values; `keeper.edges` touches the chain, the disk, the
clock and the keys; `keeper.app` is the loop between them.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ballast-keeper")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+checkout"
