"""The protocol on a running node, deployed over JSON-RPC as scripts/plan.py says.

    with nodes.start("anvil") as node:
        ballast = protocol.deploy(node, prices={"BTC": ..., ...})
        ballast.act(wallet, "Clearinghouse", "deposit", account, 1_000_000)
        ballast.view("Clearinghouse", "assess", account, 0)

No Brownie, no timelock: the deployer keeps its powers. Block times are ours alone and every act
is a second after the one before, so that two runs are equal to the byte.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from eth_abi.abi import encode
from eth_account import Account
from eth_utils.abi import collapse_if_tuple

from keeper.core.reports import PriceReport, SignedReport, digest, domain_separator
from keeper.core.types import Address, FeedId
from keeper.edges import abi
from keeper.edges.chain import Chain, RpcError, bytes_of, hex_of
from scripts import build, nodes, parameters, plan, roles
from scripts.parameters.units import native

FIRST_BLOCK_TIME = 2_000_000_000  # later than any clock of today, the same in every run
GAS = 25_000_000
RECEIPT_SECONDS = 30.0
CONFIDENCE_PPM = 200

Account.enable_unaudited_hdwallet_features()


class Refused(Exception):
    """A transaction was not mined or reverted; the text is the contract's."""


class Protocol:
    """A deployment and the acts of people on it."""

    def __init__(self, node: nodes.Node, prices: Mapping[str, Decimal], market: str) -> None:
        self.node, self.chain = node, Chain(node.url, timeout=60)
        self.terms = parameters.load(market)
        self.wallets: list[str] = self.chain.request("eth_accounts")
        self.where: dict[str, str] = {}
        self.time = FIRST_BLOCK_TIME
        self._contracts: dict[str, abi.Contract] = {}
        self._tokens()
        self._deploy(prices)

    # -- transactions and views

    def send(self, sender: str, to: str | None, data: bytes) -> dict[str, Any]:
        """A transaction in a block of its own, a second after the last; raises Refused."""
        self.time += 1
        fields = {"from": sender, "data": hex_of(data), "gas": hex(GAS)}
        if to is not None:
            fields["to"] = to
        at, sent = self.chain.batch(
            [
                ("evm_setNextBlockTimestamp", [hex(self.time)]),
                ("eth_sendTransaction", [fields]),
            ]
        )
        for answer in (at, sent):
            if isinstance(answer, RpcError):
                raise Refused(answer.reason or answer.message)
        until = time.monotonic() + RECEIPT_SECONDS
        while time.monotonic() < until:
            receipt = self.chain.request("eth_getTransactionReceipt", sent)
            if receipt is not None:
                if receipt["status"] != "0x1":
                    raise Refused(self._why(fields))
                return dict(receipt)
            time.sleep(0.002)
        raise Refused("not mined")

    def act(self, sender: str, contract: str, function: str, *arguments: Any) -> dict[str, Any]:
        """Call a contract, or a token by its symbol; returns the receipt."""
        return self.send(
            sender, self.where[contract], self.calldata(contract, function, *arguments)
        )

    def view(self, contract: str, function: str, *arguments: Any) -> Any:
        """What a view answers: one value, or a tuple."""
        about = self._contracts[contract].function(function, len(arguments))
        call = {"to": self.where[contract], "data": hex_of(about.data(*arguments))}
        return about.values(bytes_of(self.chain.request("eth_call", call, "latest")))

    def calldata(self, contract: str, function: str, *arguments: Any) -> bytes:
        """The data of a call."""
        return self._contracts[contract].function(function, len(arguments)).data(*arguments)

    def warp(self, seconds: int) -> None:
        """The next act is this much later."""
        self.time += seconds - 1

    def _why(self, fields: Mapping[str, str]) -> str:
        try:
            self.chain.request("eth_call", fields, "latest")
        except RpcError as error:
            return error.reason or error.message
        return "reverted, but not when called"

    # -- deployment

    def plan(self, prices: Mapping[str, Decimal]) -> Iterator[plan.Call]:
        """The calls that configure the contracts, at these prices."""
        reporters = [key.address for key in self._reporters]
        return plan.calls(self.terms, prices, reporters, self.where)

    @property
    def deployer(self) -> str:
        return self.wallets[roles.DEPLOYER]

    def _create(self, name: str, contract: str, arguments: Sequence[Any]) -> None:
        artifact = build.artifact(contract, self.node.hardfork)
        entry = next(one for one in artifact.abi if one["type"] == "constructor")
        types = [collapse_if_tuple(one) for one in entry["inputs"]]
        receipt = self.send(self.deployer, None, artifact.bytecode + encode(types, arguments))
        self.where[name] = receipt["contractAddress"].lower()
        self._contracts[name] = abi.Contract(name, artifact.abi)

    def _tokens(self) -> None:
        settlement = self.terms.settlement
        decimals = {settlement.symbol: settlement.decimals}
        decimals |= {symbol: token.decimals for symbol, token in self.terms.collateral.items()}
        for symbol, places in decimals.items():
            self._create(symbol, "TestToken", [symbol, symbol, places])
            self.act(self.deployer, symbol, "mint", self.deployer, plan.PROBE)

    def _deploy(self, prices: Mapping[str, Decimal]) -> None:
        nonce = int(self.chain.request("eth_getTransactionCount", self.deployer, "latest"), 16)
        known = plan.addresses(self.deployer, nonce) | {
            "owner": self.deployer,
            "settlement_token": self.where[self.terms.settlement.symbol],
        }
        for name in plan.CONTRACTS:
            artifact = build.artifact(name, self.node.hardfork)
            self._create(name, name, plan.constructor(artifact, known))
            if self.where[name] != known[name]:
                raise Refused(f"{name} is at {self.where[name]}, not at {known[name]}")
        self._reporters = [
            Account.from_mnemonic(self.node.mnemonic, account_path=f"m/44'/60'/0'/0/{place}")
            for place in roles.REPORTERS[: self.terms.oracle.reporters]
        ]
        for call in self.plan(prices):
            self.act(self.deployer, call.target, call.function, *call.arguments)
        self._domain = domain_separator(nodes.CHAIN_ID, Address(bytes_of(self.where["OracleHub"])))

    # -- people

    def account(self, wallet: str, bucket: int = 0) -> bytes:
        """The account id of a wallet's bucket."""
        return bytes_of(wallet) + bucket.to_bytes(12, "big")

    def mint(self, symbol: str, holder: str, amount: int, spender: str) -> None:
        """Native units out of nothing, approved for one contract for ever."""
        self.act(holder, symbol, "mint", holder, amount)
        self.act(holder, symbol, "approve", self.where[spender], 2**256 - 1)

    # -- prices

    def quorum(
        self, feed: int, price: Decimal, slot: int, spread: Decimal = Decimal(0)
    ) -> list[SignedReport]:
        """A quorum's reports of one slot: `spread` apart from one another, in USD."""
        previous = self.view("OracleHub", "latest_slot", feed) or slot - 1
        decimals = self.view("OracleHub", "feed_config", feed)["decimals"]
        signed = []
        for place, key in enumerate(self._reporters[: self.terms.oracle.quorum]):
            mantissa = native(price + place * spread, decimals)
            report = PriceReport(FeedId(feed), slot, previous, mantissa, CONFIDENCE_PPM)
            signature = key.unsafe_sign_hash(digest(report, self._domain))
            reporter = Address(bytes_of(key.address))
            signed.append(SignedReport(report, reporter, signature.v, signature.r, signature.s))
        return signed


def deploy(node: nodes.Node, prices: Mapping[str, Decimal], market: str = "devnet") -> Protocol:
    """All contracts for the node's EVM version, with the figures of a parameter file.

    prices: USD per unit of each underlying, by which sizes follow from figures in USD.
    """
    return Protocol(node, prices, market)
