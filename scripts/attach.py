"""Brownie on a node of ours, in a home of its own: nothing is read from or written to the user's.

environment = attach.environment(node)     # for a `brownie` process
with attach.project(node) as ballast:      # in this process
    ballast.Vault.deploy(...)
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from scripts import build, nodes
from scripts.nodes import ROOT

NETWORK = "ballast"

# Brownie finds the node that listens on this port; `cmd` only names its kind.
_NETWORKS = """\
live: []
development:
  - name: {name}
    id: {name}
    host: http://{host}
    cmd: {kind}
    timeout: 120
    cmd_settings:
      port: {port}
      accounts: {accounts}
      mnemonic: {mnemonic}
      evm_version: {hardfork}
      gas_limit: {gas_limit}
"""


def environment(node: nodes.Node) -> dict[str, str]:
    """Variables with which Brownie knows the node as network NETWORK, and its EVM version."""
    home = ROOT / "build" / "brownie-home" / str(node.port)
    folder = home / ".brownie"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network-config.yaml").write_text(
        _NETWORKS.format(
            name=NETWORK,
            host=nodes.HOST,
            kind=node.kind,
            port=node.port,
            accounts=node.accounts,
            mnemonic=node.mnemonic,
            hardfork=node.hardfork,
            gas_limit=nodes.BLOCK_GAS_LIMIT,
        )
    )
    return {
        "HOME": str(home),
        "BALLAST_EVM_VERSION": node.hardfork,
        "BALLAST_NODE": node.kind,
        "PYTHONWARNINGS": "ignore",
    }


@contextmanager
def project(node: nodes.Node) -> Iterator[Any]:
    """The compiled project, attached to the node; one EVM version per process.

    Brownie is imported here and not before: it reads its home and configuration as it loads.
    """
    os.environ.update(environment(node))
    warnings.filterwarnings("ignore", module="brownie")
    warnings.filterwarnings("ignore", category=FutureWarning)
    import brownie
    from brownie._config import CONFIG

    CONFIG.networks[NETWORK]["cmd_settings"]["port"] = node.port
    loaded = brownie.project.get_loaded_projects()
    # loading puts the build of this EVM version in place; Brownie lists every file that it compiles
    with build.alone("brownie"), redirect_stdout(io.StringIO()):
        ballast = loaded[0] if loaded else brownie.project.load(ROOT, name="Ballast")
    ballast.load_config()
    # without its process handling, which wants to own the node and to revert its state
    brownie.network.connect(NETWORK, launch_rpc=False)
    brownie.web3.reset_middlewares()
    try:
        yield ballast
    finally:
        brownie.network.disconnect(kill_rpc=False)
