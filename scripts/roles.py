"""Who is who on a development chain: the places of the roles in the node's mnemonic."""

from __future__ import annotations

DEPLOYER = 0
GOVERNOR = 1  # proposes and executes through the timelock, and tightens without it
KEEPER = 2
REPORTERS = range(3, 8)
PROVIDERS = range(8, 11)
VISITOR = 11  # the funded wallet that `make devnet` hands out
TRADERS = range(12, 23)

GUARDIAN = TRADERS.stop  # may halt for a while

ACCOUNTS = GUARDIAN + 1  # that a node has to know
