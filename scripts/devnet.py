"""A chain that keeps running: contracts, liquidity, moving prices, a keeper, a funded wallet.

    make devnet                   ganache on port 8545; NODE=anvil and PORT=8546 choose others

Everything on it is gone when it stops. Its keys are public: they are for this chain alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

from eth_account import Account
from rich.console import Console

from scripts import attach, deploy, nodes, parameters, price_paths, roles
from scripts.build import CompileError
from scripts.deploy import Book, DeploymentError
from scripts.nodes import ROOT, NodeError
from scripts.parameters import ParameterError, Parameters
from scripts.parameters.units import native
from scripts.story import endow, keeper
from scripts.story.keeper import Keeper, KeeperError
from scripts.story.stage import Stage, StoryError

NETWORK = "devnet"
PORT = 8545
FOLDER = ROOT / "build" / "devnet"
TICK_SECONDS = 3.0  # between two blocks when nobody sends anything
VISITORS_TOKENS = {"USDC": 1_000_000, "WETH": 100, "WBTC": 5}

# a quiet market from the same prices that the stories start at
_PRICES = """\
source = "generator"
start = {{ {start} }}
volatility = 0.8
deviation_ppm = 300
heartbeat_seconds = 30"""


def main() -> int:
    """Run until interrupted; 0 unless something stood in the way."""
    options = _options()
    console = Console(highlight=False)
    try:
        _run(console, options.node, _port(options.port))
    except KeyboardInterrupt:
        console.print("\nstopped; nothing was left running")
    except (
        NodeError, ParameterError, CompileError, DeploymentError, KeeperError, StoryError,
    ) as error:  # fmt: skip
        Console(stderr=True, highlight=False).print(str(error), style="bold", markup=False)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make devnet", description="A development chain that keeps running."
    )
    parser.add_argument("--node", default=os.environ.get("NODE") or "ganache")
    parser.add_argument("--port", default=os.environ.get("PORT") or PORT)
    return parser.parse_args()


def _port(value: object) -> int:
    try:
        port = int(str(value))
    except ValueError:
        port = 0
    if not 0 < port < 2**16:
        raise NodeError(f"PORT={value}: expected a number from 1 to 65535")
    return port


def _run(console: Console, kind: str, port: int) -> None:
    console.print("compiling the contracts, starting the node")
    with (
        nodes.start(kind, port=port, accounts=roles.ACCOUNTS) as node,
        attach.project(node) as project,
    ):
        from brownie import accounts

        console.print("deploying")
        prices = {asset: about.start for asset, about in price_paths.ASSETS.items()}
        book = deploy.deploy(project, accounts, prices=prices, network=NETWORK)
        stage, terms = Stage(node, project, accounts, book), parameters.load(deploy.MARKET)
        endow.keeper(stage, terms)
        start = ", ".join(f"{asset} = {price}" for asset, price in prices.items())
        with keeper.running(node, NETWORK, FOLDER, _PRICES.format(start=start)) as process:
            console.print("bringing liquidity")
            _endow(stage, process, terms)
            _show(console, node, book, process)
            while True:
                time.sleep(TICK_SECONDS)
                stage.tick()
                process.progress()


def _endow(stage: Stage, process: Keeper, terms: Parameters) -> None:
    """Money for the pool and for whoever comes."""
    stage.tick()
    stage.settle(process)
    endow.ask(stage, terms)
    stage.advance(stage.now + terms.pool.request_delay_seconds + 1)
    stage.settle(process)
    endow.claim(stage)
    decimals = {symbol: token.decimals for symbol, token in terms.collateral.items()}
    decimals[terms.settlement.symbol] = terms.settlement.decimals
    for symbol, tokens in VISITORS_TOKENS.items():
        spender = "Clearinghouse" if symbol == terms.settlement.symbol else "Vault"
        visitor = stage.wallet(roles.VISITOR)
        stage.mint(symbol, visitor, native(tokens, decimals[symbol]), [spender])


def _show(console: Console, node: nodes.Node, book: Book, process: Keeper) -> None:
    """What to connect to."""
    Account.enable_unaudited_hdwallet_features()
    path = f"m/44'/60'/0'/0/{roles.VISITOR}"
    wallet: Any = Account.from_mnemonic(node.mnemonic, account_path=path)
    funds = ", ".join(f"{amount:,} {symbol}" for symbol, amount in VISITORS_TOKENS.items())
    lines = {
        "JSON-RPC": node.url,
        "chain id": str(book.chain_id),
        **book.contracts,
        **book.tokens,
        "your wallet": wallet.address,
        "  holds": f"{funds}; the contracts may take them",
        "  private key": f"0x{wallet.key.hex().removeprefix('0x')}",
        "": "public: for this chain only, never send anything of worth to it",
        "keeper": f"http://{nodes.HOST}:{process.port}/healthz and /metrics",
        "  ask it": f".venv/bin/keeper scan --config {process.config.relative_to(ROOT)}",
        "address book": str(deploy.path_of(NETWORK).relative_to(ROOT)),
    }
    for name, value in lines.items():
        console.print(f"{name:<15} {value}", soft_wrap=True, markup=False)
    console.print("Ctrl-C stops it all.")


if __name__ == "__main__":
    sys.exit(main())
