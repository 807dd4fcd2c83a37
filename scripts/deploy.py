"""Deploy Ballast as scripts/plan.py says, hand it to the timelock, and write the address book.

    brownie run deploy --network <a development network>
    book = deploy.deploy(project, accounts, prices=..., network="devnet")     # from Python

The protocol's tokens are test tokens that anyone can mint: this is for development chains.

It can be repeated: where the address book of a network names contracts whose code is on the
chain and is the code of these sources, everything is checked again and nothing is sent. The book
is written last, so that it never names a deployment that was not finished.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from scripts import build, parameters, plan, price_paths, roles
from scripts.build import ROOT
from scripts.parameters import Parameters

MARKET = "devnet"
TIMELOCK = "Timelock"
NO_ADMIN = "0x" + "00" * 20

_TOKEN_NAMES = {"USDC": "USD Coin", "WETH": "Wrapped Ether", "WBTC": "Wrapped Bitcoin"}
_TIMELOCK_ROLES = ("PROPOSER_ROLE", "EXECUTOR_ROLE", "CANCELLER_ROLE", "DEFAULT_ADMIN_ROLE")


class DeploymentError(Exception):
    """What is on the chain is not what these sources and parameters say; the text says where."""


@dataclass(frozen=True, slots=True)
class Book:
    """Where everything is: the content of `build/addresses-<network>.json`."""

    chain_id: int
    network: str
    block: int  # before the first contract
    contracts: dict[str, str]
    feeds: dict[str, int]
    instruments: dict[str, int]
    tokens: dict[str, str]  # the settlement token first
    reporters: list[str]

    def write(self) -> Path:
        """Put it where the keeper and the other scripts look; all at once."""
        path = path_of(self.network)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(asdict(self), indent=2) + "\n")
        return beside.replace(path)


def path_of(network: str) -> Path:
    """The address book of a network."""
    return ROOT / "build" / f"addresses-{network}.json"


def read(network: str) -> Book | None:
    """The address book of a network, if there is one."""
    try:
        return Book(**json.loads(path_of(network).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise DeploymentError(
            f"{path_of(network).relative_to(ROOT)}: not an address book ({error}); "
            "remove it to deploy anew"
        ) from None


def main() -> None:
    """What `brownie run deploy` runs: roles from the node's accounts, the devnet's figures."""
    from brownie import accounts, network, project

    if len(accounts) < roles.ACCOUNTS:
        raise DeploymentError(
            f"the network has {len(accounts)} accounts; start the node with {roles.ACCOUNTS}"
        )
    prices = {name: asset.start for name, asset in price_paths.ASSETS.items()}
    book = deploy(
        project.get_loaded_projects()[0], accounts, prices=prices, network=network.show_active()
    )
    for name, address in book.contracts.items():
        print(f"{name:<16} {address}")
    print(f"address book: {path_of(book.network).relative_to(ROOT)}")


def deploy(
    project: Any, accounts: Sequence[Any], *, prices: Mapping[str, Decimal], network: str
) -> Book:
    """Deploy, or find deployed, and check; returns the address book that is also on disk.

    project: Brownie's, compiled and connected. accounts: the node's, see scripts/roles.py.
    prices: USD per unit of each underlying, by which sizes follow from figures in USD.
    Raises DeploymentError.
    """
    terms = parameters.load(MARKET)
    ballast = _Deployment(project, accounts, terms, network)
    book = read(network)
    if book is None or not ballast.stands(book):
        book = ballast.make(prices)
    ballast.check(book)
    book.write()
    return book


class _Deployment:
    """One deployment on the connected chain."""

    def __init__(
        self, project: Any, accounts: Sequence[Any], terms: Parameters, network: str
    ) -> None:
        from brownie import chain, web3

        self._project, self._terms, self._network = project, terms, network
        self._deployer, self._governor = accounts[roles.DEPLOYER], accounts[roles.GOVERNOR]
        self._guardian = accounts[roles.GUARDIAN]
        reporters = roles.REPORTERS[: terms.oracle.reporters]
        self._reporters = [str(accounts[place].address) for place in reporters]
        self._web3, self._chain_id = web3, chain.id
        self._evm_version = os.environ.get("BALLAST_EVM_VERSION", build.DEFAULT_EVM)

    # -- making

    def make(self, prices: Mapping[str, Decimal]) -> Book:
        """Send everything; the deployer is left without power."""
        block = self._web3.eth.block_number
        tokens = self._tokens()
        settlement = tokens[self._terms.settlement.symbol]
        where = plan.addresses(self._deployer.address, self._deployer.nonce)
        known = {**where, "owner": self._deployer.address, "settlement_token": settlement.address}
        contracts = {name: self._send(name, known) for name in plan.CONTRACTS}
        for name, address in where.items():
            if contracts[name].address.lower() != address:
                raise DeploymentError(f"{name} is at {contracts[name].address}, not at {address}")

        targets = contracts | tokens
        addresses = {name: str(contract.address) for name, contract in targets.items()}
        for call in plan.calls(self._terms, prices, self._reporters, addresses):
            function = getattr(targets[call.target], call.function)
            function(*call.arguments, {"from": self._deployer}, silent=True)

        for call in plan.appointments(str(self._guardian), str(self._governor)):
            function = getattr(targets[call.target], call.function)
            function(*call.arguments, {"from": self._deployer}, silent=True)

        timelock = self._timelock()
        for name in plan.OWNED:
            contracts[name].transfer_ownership(
                timelock.address, {"from": self._deployer}, silent=True
            )
        contracts[TIMELOCK] = timelock
        return Book(
            chain_id=self._chain_id,
            network=self._network,
            block=block,
            contracts={name: str(contract.address) for name, contract in contracts.items()},
            feeds={name: number for number, name in enumerate(self._terms.feeds, 1)},
            instruments={name: number for number, name in enumerate(self._terms.instruments, 1)},
            tokens={symbol: str(token.address) for symbol, token in tokens.items()},
            reporters=self._reporters,
        )

    def _tokens(self) -> dict[str, Any]:
        """Settlement and collateral tokens; the deployer holds enough to list them."""
        decimals = {self._terms.settlement.symbol: self._terms.settlement.decimals}
        decimals |= {symbol: token.decimals for symbol, token in self._terms.collateral.items()}
        tokens = {}
        for symbol, places in decimals.items():
            token = self._project.TestToken.deploy(
                _TOKEN_NAMES[symbol], symbol, places, {"from": self._deployer}, silent=True
            )
            token.mint(self._deployer, plan.PROBE, {"from": self._deployer}, silent=True)
            tokens[symbol] = token
        return tokens

    def _send(self, name: str, known: Mapping[str, str]) -> Any:
        arguments = plan.constructor(build.artifact(name, self._evm_version), known)
        container = self._project[name]
        return container.deploy(*arguments, {"from": self._deployer}, silent=True)

    def _timelock(self) -> Any:
        governor = [self._governor.address]
        delay = self._terms.governance.timelock_delay_seconds
        return self._project[TIMELOCK].deploy(
            delay, governor, governor, NO_ADMIN, {"from": self._deployer}, silent=True
        )

    # -- checking

    def stands(self, book: Book) -> bool:
        """Whether the book is of this chain: False on a chain that is new since it was written."""
        if book.chain_id != self._chain_id:
            return False
        present = [bool(self._code(address)) for address in book.contracts.values()]
        if any(present) and not all(present):
            raise DeploymentError(
                f"{self._shown(book)}: some of its contracts are not on the chain; "
                "remove it to deploy anew"
            )
        return all(present)

    def check(self, book: Book) -> None:
        """Code, wiring, figures and powers are as they should be. Raises DeploymentError."""
        for name, address in book.contracts.items():
            self._check_code(book, name, address)
        contracts = {
            name: self._project[name].at(address) for name, address in book.contracts.items()
        }
        self._check_wiring(book, contracts)
        self._check_powers(contracts)
        self._check_figures(contracts)

    def _check_code(self, book: Book, name: str, address: str) -> None:
        """Constructors append immutables (Vyper) or write them over zeros (Solidity)."""
        wanted = build.artifact(name, self._evm_version)
        found = self._code(address)
        same = len(found) == wanted.size and all(
            there == ours or ours == 0
            for there, ours in zip(found, wanted.deployed_bytecode, strict=False)
        )
        if not same:
            raise DeploymentError(
                f"{self._shown(book)}: the code of {name} at {address} is not that of "
                f"{wanted.source}; remove the file to deploy anew"
            )

    def _check_wiring(self, book: Book, contracts: Mapping[str, Any]) -> None:
        """Every contract names the others as they are: immutables and the risk engine."""
        settlement = book.tokens[self._terms.settlement.symbol]
        expected = plan.by_argument(book.contracts | {"settlement_token": settlement})
        for name, contract in contracts.items():
            for entry in contract.abi:
                if entry["type"] != "function" or entry["inputs"]:
                    continue
                companion = expected.get(entry["name"].lower())
                if companion and entry["outputs"][0]["type"] == "address":
                    found = getattr(contract, entry["name"])()
                    _expect(f"{name}.{entry['name']}", found, companion)

    def _check_powers(self, contracts: Mapping[str, Any]) -> None:
        """The timelock owns everything and itself, the governor drives it, and nobody else can."""
        timelock = contracts[TIMELOCK]
        for name in plan.OWNED:
            _expect(f"{name}.owner", contracts[name].owner(), timelock.address)
        for name in plan.STEWARDED:
            _expect(f"{name}.steward", contracts[name].steward(), self._governor.address)
        guardian = contracts["Instruments"].guardian()
        _expect("Instruments.guardian", guardian, self._guardian.address)
        holders = {"DEFAULT_ADMIN_ROLE": timelock.address}
        for role in _TIMELOCK_ROLES:
            code = bytes(getattr(timelock, role)())
            holder = holders.get(role, self._governor.address)
            for who, name in self._known(contracts).items():
                _expect(f"Timelock {role} of {name}", timelock.hasRole(code, who), who == holder)

    def _known(self, contracts: Mapping[str, Any]) -> dict[str, str]:
        """Everybody who could have been given a power: the node's roles, the contracts, anybody."""
        people = {
            self._deployer: "the deployer",
            self._governor: "the governor",
            self._guardian: "the guardian",
        }
        known = {str(who.address): name for who, name in people.items()}
        known |= dict.fromkeys(self._reporters, "a reporter")
        known |= {str(contract.address): name for name, contract in contracts.items()}
        return known | {NO_ADMIN: "anybody"}

    def _check_figures(self, contracts: Mapping[str, Any]) -> None:
        hub, instruments = contracts["OracleHub"], contracts["Instruments"]
        _expect("OracleHub.all_reporters", list(hub.all_reporters()), self._reporters)
        _expect("OracleHub.quorum", hub.quorum(), self._terms.oracle.quorum)
        _expect("Instruments.count", instruments.count(), len(self._terms.instruments))
        delay = self._terms.governance.timelock_delay_seconds
        _expect("Timelock.getMinDelay", contracts[TIMELOCK].getMinDelay(), delay)

    def _code(self, address: str) -> bytes:
        return bytes(self._web3.eth.get_code(address))

    def _shown(self, book: Book) -> Path:
        return path_of(book.network).relative_to(ROOT)


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise DeploymentError(f"{what} is {found}, expected {expected}")
