"""The stage: a chain whose clock we move, the contracts on it, people's transactions."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import median
from typing import Any

from scripts import roles
from scripts.deploy import Book
from scripts.nodes import Node
from scripts.story import keeper as keepers
from scripts.story.keeper import Keeper, KeeperError

_POLL_SECONDS = 0.02
MINED_SECONDS = 60.0  # far more than a node takes for a transaction that it has
NO_LIMIT = 2**256 - 1


class StoryError(Exception):
    """The story cannot go on; the text says what was refused, and to whom."""


@dataclass(slots=True)
class GasBook:
    """What transactions cost, by the names of the gas file."""

    used: dict[str, list[int]] = field(default_factory=dict)

    def note(self, act: str, gas: int) -> None:
        self.used.setdefault(act, []).append(gas)

    def medians(self) -> dict[str, int]:
        """The median of every act."""
        return {act: int(median(figures)) for act, figures in sorted(self.used.items())}


class Stage:
    """One chain with Ballast on it."""

    def __init__(self, node: Node, project: Any, accounts: Sequence[Any], book: Book) -> None:
        from brownie import web3

        self.node, self.book = node, book
        self._web3, self._accounts = web3, accounts
        self.contracts = {
            name: project[name].at(address) for name, address in book.contracts.items()
        }
        self.tokens = {
            symbol: project.TestToken.at(address) for symbol, address in book.tokens.items()
        }
        self.gas = GasBook()
        self.prices: dict[str, Decimal] = {}

    # -- people

    def wallet(self, place: int) -> Any:
        """An account of the node."""
        return self._accounts[place]

    def trader(self, number: int) -> Any:
        return self._accounts[roles.TRADERS[number]]

    @staticmethod
    def account(wallet: Any, bucket: int) -> bytes:
        """The account id of a wallet's bucket."""
        return bytes.fromhex(wallet.address[2:]) + bucket.to_bytes(12, "big")

    def send(
        self, act: str, contract: str, function: str, arguments: Sequence[Any], sender: Any
    ) -> Any:
        """One transaction; its gas is noted under `act` where that is not empty."""
        from brownie.exceptions import TransactionError, VirtualMachineError

        target = self.contracts.get(contract) or self.tokens[contract]
        method = getattr(target, function)
        if hasattr(method, "methods"):  # arguments with defaults make overloads
            overloads = method.methods.values()
            method = next(m for m in overloads if len(m.abi["inputs"]) == len(arguments))
        try:
            receipt = method(*arguments, {"from": sender}, silent=True)
        except VirtualMachineError as error:
            raise StoryError(
                f"{contract}.{function} by {sender.address}: {error.revert_msg}"
            ) from None
        except TransactionError as error:
            receipt = self._mined(str(error))
        if act:
            self.gas.note(act, receipt.gas_used)
        return receipt

    def _mined(self, error: str) -> Any:
        """A transaction that Brownie calls dropped: it looked for it in the pool and among the
        mined while the node was moving it from one to the other."""
        import brownie
        from brownie.network.transaction import TransactionReceipt

        found = re.search("0x[0-9a-f]{64}", error)
        if found is None:
            raise StoryError(error)
        brownie.web3.eth.wait_for_transaction_receipt(found[0], timeout=MINED_SECONDS)
        receipt = TransactionReceipt(found[0], silent=True)
        if receipt.status != 1:
            raise StoryError(f"{found[0]}: {receipt.revert_msg}")
        return receipt

    def mint(self, symbol: str, holder: Any, amount: int, spenders: Sequence[str]) -> None:
        """Tokens out of nothing, and leave to take them."""
        self.send("", symbol, "mint", (holder, amount), holder)
        for spender in spenders:
            address = self.book.contracts[spender]
            self.send("", symbol, "approve", (address, NO_LIMIT), holder)

    # -- time and prices

    @property
    def block(self) -> int:
        return int(self._web3.eth.block_number)

    @property
    def now(self) -> int:
        """The chain's time."""
        return int(self._web3.eth.get_block("latest")["timestamp"])

    def advance(self, moment: int) -> None:
        """A block at this moment, or as soon after it as the chain's clock allows."""
        moment = max(moment, self.now + 1)
        if self.node.kind == "anvil":
            self._request("evm_setNextBlockTimestamp", moment)
        else:
            self._request("evm_setTime", moment * 1000)
        self.tick()

    def tick(self) -> None:
        """A block, by a transaction to nowhere.

        Ganache's `evm_mine` fails now and then when another transaction is mined meanwhile.
        """
        patron = self.wallet(roles.DEPLOYER)
        patron.transfer(patron, 0, silent=True)

    def _request(self, method: str, *arguments: Any) -> None:
        answer = self._web3.provider.make_request(method, list(arguments))
        if "error" in answer:
            raise StoryError(f"{self.node.kind} refused {method}: {answer['error']['message']}")

    def move(self, keeper: Keeper, prices: Mapping[str, Decimal], moment: int) -> int:
        """New prices from a moment on; back when the keeper has done all that follows."""
        moment = max(moment, self.now + 1)
        self.prices = dict(prices)
        keeper.say(moment, prices)
        self.advance(moment)
        self.settle(keeper, moment)
        return moment

    def settle(self, keeper: Keeper, slot: int = 0) -> None:
        """Wait until the keeper has posted `slot` for every feed and has nothing left to do."""
        deadline = time.monotonic() + keepers.ANSWER_SECONDS
        while time.monotonic() < deadline:
            seen = keeper.progress()
            posted = all(seen["prices"].get(asset, 0) >= slot for asset in self.book.feeds)
            if posted and seen["idle"] >= self.block:
                return
            time.sleep(_POLL_SECONDS)
        raise KeeperError(
            f"the keeper is not done with block {self.block} after "
            f"{keepers.ANSWER_SECONDS:.0f} s; see {keeper.log}"
        )
