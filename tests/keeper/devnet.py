"""The protocol on a real node, deployed over JSON-RPC as scripts/plan.py says, with its actors.

Time of the chain moves only as the test says; the keeper under test sees nothing but the node.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.abi import collapse_if_tuple

from keeper.edges import abi
from keeper.edges.chain import Chain, RpcError, bytes_of, hex_of
from scripts import build, nodes, parameters, plan, roles
from scripts.parameters.units import WAD, native, wad

PRICES = {"BTC": Decimal(60_000), "ETH": Decimal(3_000), "SOL": Decimal(150)}
BTC, ETH, SOL = 1, 2, 3
GAS = 8_000_000
RECEIPT_SECONDS = 20.0
EVM = {"ganache": "shanghai", "anvil": "cancun"}

_token = abi.Contract("TestToken", build.artifact("TestToken").abi)


@dataclass(frozen=True, slots=True)
class Order:
    """What is committed, in the fields and units of IOrders.Order."""

    account: bytes
    instrument: int
    size: int
    acceptable: int = 0
    reduce_only: bool = False
    execution_fee: int = 0
    salt: int = 0
    kind: int = 0
    trigger: int = 0
    expiry: int = 0
    bracket: int = 0

    def as_argument(self) -> tuple[Any, ...]:
        return (self.account, self.instrument, self.size, self.acceptable, self.reduce_only,
                self.execution_fee, self.salt, self.kind, self.trigger, self.expiry,
                self.bracket)  # fmt: skip


class Devnet:
    """A deployed protocol on a running node."""

    def __init__(self, node: nodes.Node) -> None:
        self.node, self.chain = node, Chain(node.url, timeout=60)
        self.terms = parameters.load("devnet")
        self.accounts: list[str] = self.chain.request("eth_accounts")
        self.first_block = self.chain.header("latest").number
        self._salt = 0
        self._deploy()

    # -- transactions

    def send(self, sender: str, to: str | None, data: bytes) -> dict[str, Any]:
        """A transaction of an unlocked account, mined; AssertionError with its revert text."""
        fields = {"from": sender, "data": hex_of(data), "gas": hex(GAS)}
        if to is not None:
            fields["to"] = to
        try:
            sent = self.chain.request("eth_sendTransaction", fields)
        except RpcError as error:
            raise AssertionError(error.reason or error.message) from None
        until = time.monotonic() + RECEIPT_SECONDS
        while time.monotonic() < until:
            receipt = self.chain.request("eth_getTransactionReceipt", sent)
            if receipt is not None:
                assert receipt["status"] == "0x1", self._why(fields)
                return dict(receipt)
            time.sleep(0.003)
        raise AssertionError("not mined")

    def _why(self, fields: dict[str, Any]) -> str:
        try:
            self.chain.request("eth_call", fields, "latest")
        except RpcError as error:
            return error.reason
        return "reverted, but not when called"

    def act(self, sender: str, contract: str, function: str, *arguments: Any) -> dict[str, Any]:
        """Call a contract or, by its symbol, a token."""
        return self.send(sender, self.where[contract], self._data(contract, function, arguments))

    def view(self, contract: str, function: str, *arguments: Any) -> Any:
        data = self._data(contract, function, arguments)
        call = {"to": self.where[contract], "data": hex_of(data)}
        answer = bytes_of(self.chain.request("eth_call", call, "latest"))
        return self._function(contract, function, arguments).values(answer)

    def _data(self, contract: str, function: str, arguments: Sequence[Any]) -> bytes:
        return self._function(contract, function, arguments).data(*arguments)

    def _function(self, contract: str, function: str, arguments: Sequence[Any]) -> abi.Function:
        about = _token if contract in self.tokens else abi.contract(contract)
        return about.function(function, len(arguments))

    # -- deployment

    def _deploy(self) -> None:
        deployer = self.accounts[roles.DEPLOYER]
        version = "shanghai"
        self.where: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        decimals = {"USDC": 6} | {s: t.decimals for s, t in self.terms.collateral.items()}
        code = build.artifact("TestToken").bytecode
        for symbol, places in decimals.items():
            made = encode(["string", "string", "uint8"], [symbol, symbol, places])
            self.tokens[symbol] = self.send(deployer, None, code + made)["contractAddress"]
        self.where |= self.tokens
        for symbol in self.tokens:
            self.act(deployer, symbol, "mint", deployer, plan.PROBE)
        nonce = int(self.chain.request("eth_getTransactionCount", deployer, "latest"), 16)
        known = plan.addresses(deployer, nonce) | {
            "owner": deployer,
            "settlement_token": self.tokens["USDC"],
        }
        for name in plan.CONTRACTS:
            artifact = build.artifact(name, version)
            arguments = plan.constructor(artifact, known)
            entry = next(one for one in artifact.abi if one["type"] == "constructor")
            types = [collapse_if_tuple(one) for one in entry["inputs"]]
            receipt = self.send(deployer, None, artifact.bytecode + encode(types, arguments))
            self.where[name] = receipt["contractAddress"]
            assert self.where[name] == known[name]
        self.reporters = [self.accounts[place] for place in roles.REPORTERS]
        for call in plan.calls(self.terms, PRICES, self.reporters, self.where):
            self.act(deployer, call.target, call.function, *call.arguments)

    def write_addresses(self, path: Path) -> Path:
        """The address book, as the deployment script writes it."""
        book = {
            "chain_id": nodes.CHAIN_ID,
            "network": "test",
            "block": self.first_block,
            "contracts": {n: a for n, a in self.where.items() if n not in self.tokens},
            "feeds": {"BTC": 1, "ETH": 2, "SOL": 3},
            "instruments": {"BTC-PERP": 1, "ETH-PERP": 2, "SOL-PERP": 3},
            "tokens": self.tokens,
            "reporters": self.reporters,
        }
        path.write_text(json.dumps(book))
        return path

    # -- time

    @property
    def now(self) -> int:
        return self.chain.header("latest").timestamp

    def warp(self, seconds: int) -> int:
        """A block `seconds` after the newest; returns its time."""
        at = self.now + seconds
        if self.node.kind == "anvil":
            self.chain.request("evm_setNextBlockTimestamp", hex(at))
            self.chain.request("evm_mine")
        else:
            self.chain.request("evm_setTime", at * 1000)
            self.chain.request("evm_mine", at)
        return self.now

    # -- actors

    def account(self, owner: str, bucket: int = 0) -> bytes:
        return bytes_of(owner) + bucket.to_bytes(12, "big")

    def mint(self, symbol: str, holder: str, amount: int, spender: str) -> None:
        """Native units out of nothing, approved for one contract."""
        self.act(holder, symbol, "mint", holder, amount)
        self.act(holder, symbol, "approve", self.where[spender], 2**256 - 1)

    def deposit(self, account: bytes, usd: float) -> None:
        owner = hex_of(account[:20])
        self.mint("USDC", owner, native(Decimal(str(usd)), 6), "Clearinghouse")
        amount = native(Decimal(str(usd)), 6)
        self.act(owner, "Clearinghouse", "deposit", account, amount)

    def add_collateral(self, account: bytes, symbol: str, amount: float) -> None:
        owner = hex_of(account[:20])
        units = native(Decimal(str(amount)), {"WETH": 18, "WBTC": 8}[symbol])
        self.mint(symbol, owner, units, "Vault")
        self.act(owner, "Vault", "deposit", account, self.tokens[symbol], units)

    def fund_insurance(self, usd: int) -> None:
        giver = self.accounts[roles.DEPLOYER]
        self.mint("USDC", giver, usd * 10**6, "Clearinghouse")
        self.act(giver, "Clearinghouse", "fund_insurance", usd * 10**6)

    def request_entry(self, provider: str, usd: int) -> None:
        self.mint("USDC", provider, usd * 10**6, "LiquidityPool")
        self.act(provider, "LiquidityPool", "requestDeposit", usd * 10**6, provider, provider)

    def commit(self, account: bytes, instrument: int, size: float, **fields: Any) -> Order:
        """Commit an order of `size` whole units as the owner of its account."""
        self._salt += 1
        order = Order(account, instrument, wad(Decimal(str(size))), salt=self._salt, **fields)
        self.act(hex_of(account[:20]), "Orders", "commit", order.as_argument())
        return order

    def size(self, account: bytes, instrument: int) -> float:
        return float(self.view("Clearinghouse", "position", account, instrument)[0] / WAD)

    def assess(self, account: bytes) -> dict[str, Any]:
        found: dict[str, Any] = self.view("Clearinghouse", "assess", account, 0)
        return found


class Feed:
    """A push feed: lines that the keeper under test follows."""

    def __init__(self, path: Path, prices: Mapping[str, Decimal] = PRICES) -> None:
        self.path, self.prices = path, dict(prices)

    def push(self, time: int, **changes: float) -> None:
        """The prices as they are, some of them changed, from this moment on."""
        self.prices |= {asset: Decimal(str(price)) for asset, price in changes.items()}
        line = {"time": time, "prices": {a: str(p) for a, p in self.prices.items()}}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
