"""A chain in this process: the contracts' real bytecode under revm, far faster than a node.

    evm = Evm()
    governor, trader = evm.account("governor"), evm.account("trader")
    token = evm.deploy(build.artifact("TestToken", "cancun"), "Dollar", "USD", 6, sender=governor)
    token.mint(trader, 5_000_000, sender=governor)  # a transaction; gives what the act returns
    token.balanceOf(trader)                          # a view: no sender, leaves no trace
    evm.events("Transfer")[0].args.value             # events of the last transaction
    with pytest.raises(Revert, match="vault: paused"): ...
    evm.warp(3600)

A transaction never moves time or block: `warp` and `mine` do. Addresses are lower-case hex.
Gas is only indicative here (slots stay warm from one transaction to the next): gas figures come
from a node.

Memory: revm under this binding treats the life of one EVM as one transaction whose journal only
grows. Every `COMPACT_EVERY` transactions the state is therefore carried into a new EVM, which
sustains runs of any length. It happens between transactions and never under an open snapshot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyrevm
from eth_utils import keccak

from scripts.build import Artifact
from tests.support import abi as abi_coding

GENESIS_TIME = 1_700_000_000
GAS_LIMIT = 30_000_000
BALANCE = 10**24  # wei of an account made by name
COMPACT_EVERY = 4_000  # transactions

_ERROR = bytes.fromhex("08c379a0")  # Error(string)
_PANIC = bytes.fromhex("4e487b71")  # Panic(uint256)
_REVERTED = re.compile(r"^Revert \{ gas_used: (\d+), output: 0x([0-9a-f]*) \}$")
_HALTED = re.compile(r"^Halt \{ reason: (.*), gas_used: (\d+) \}$")


class Revert(Exception):
    """A call was refused. `reason` is its text, empty when the contract gave none."""

    def __init__(self, reason: str, data: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.data = data


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded log; `args` is a named tuple in the order of the declaration."""

    name: str
    address: str
    args: Any


class Evm:
    """One chain. See the module for its use."""

    def __init__(self) -> None:
        self._evm = pyrevm.EVM(gas_limit=GAS_LIMIT)
        self._carried: dict[str, dict[int, int]] = {}  # storage given to the present EVM
        self._code: dict[str, bytes] = {}
        self._events: dict[tuple[str, bytes], Callable[[Any], Event]] = {}
        self._errors: dict[bytes, Callable[[bytes], str]] = {}
        self._result: Any = None
        self._transactions = 0  # since the present EVM was made
        self._set_block(1, GENESIS_TIME)

    # -- accounts and contracts

    def account(self, name: str, balance: int = BALANCE) -> str:
        """Address that belongs to a name, with some ether: the same in every run."""
        address = "0x" + keccak(text=name)[12:].hex()
        self._evm.set_balance(address, balance)
        return address

    def deploy(self, artifact: Artifact, *args: Any, sender: str, value: int = 0) -> Contract:
        """Run a contract's constructor; Revert when it refuses."""
        constructor: dict[str, Any] = next(
            (e for e in artifact.abi if e["type"] == "constructor"), {"inputs": []}
        )
        code = artifact.bytecode + abi_coding.encoder(constructor["inputs"])(args)
        with self._refusals():
            address: str = self._evm.deploy(sender, code, value)
        self._end_of_transaction()
        deployed = self._evm.get_code(address)
        assert deployed is not None
        self._code[address] = deployed[: artifact.size]
        return self.at(address, artifact.abi)

    def at(self, address: str, abi: list[dict[str, Any]]) -> Contract:
        """A contract already on the chain, seen through an ABI."""
        address = address.lower()
        for entry in abi:
            if entry["type"] == "event" and not entry.get("anonymous"):
                topic = keccak(text=abi_coding.signature(entry["name"], entry["inputs"]))
                self._events[address, topic] = _event_decoder(entry)
            elif entry["type"] == "error":
                code = abi_coding.selector(entry["name"], entry["inputs"])
                self._errors[code] = _error_decoder(entry)
        return Contract(self, address, abi)

    def code(self, address: str) -> bytes:
        """Deployed code, empty for an account without."""
        return self._code.get(address.lower(), b"")

    def balance(self, address: str) -> int:
        """Wei of an account."""
        return int(self._evm.get_balance(address))

    def storage(self, address: str, slot: int) -> int:
        """One storage word."""
        return int(self._evm.storage(address, slot))

    # -- calls

    def transact(
        self, to: str, data: bytes, sender: str, value: int = 0, gas: int | None = None
    ) -> bytes:
        """One transaction: its changes stay unless it reverts; with the block's gas unless told."""
        if self._transactions >= COMPACT_EVERY and self._evm.journal_depth == 0:
            self.compact()
        with self._refusals():
            answer: bytes = self._evm.message_call(sender, to, data, value, gas)
        self._end_of_transaction()
        return answer

    def call(self, to: str, data: bytes, sender: str, static: bool = True) -> bytes:
        """What a call would answer; the chain stays as it was."""
        before = self._evm.snapshot()
        try:
            answer: bytes = self._evm.message_call(sender, to, data, is_static=static)
        except RuntimeError as error:
            raise self._revert(error) from None
        finally:
            self._evm.revert(before)
            self._evm.reset_transient_storage()
        return answer

    @property
    def gas_used(self) -> int:
        """Gas of the last transaction, indicative only."""
        return int(self._result.gas_used)

    def events(self, name: str | None = None) -> list[Event]:
        """Events of the last transaction, all or of one name; unknown emitters are left out."""
        found = []
        for log in self._result.logs:
            topics, data = log.data
            decode = self._events.get((log.address.lower(), topics[0])) if topics else None
            if decode is not None:
                event = decode((log.address.lower(), topics, data))
                if name is None or event.name == name:
                    found.append(event)
        return found

    # -- time

    @property
    def timestamp(self) -> int:
        """Unix seconds of the present block."""
        return self._timestamp

    @property
    def block_number(self) -> int:
        """Number of the present block."""
        return self._number

    def mine(self, blocks: int = 1, seconds: int = 1) -> None:
        """Move on by some blocks, `seconds` apart."""
        self._set_block(self._number + blocks, self._timestamp + blocks * seconds)

    def warp(self, seconds: int) -> None:
        """Let time pass: the next block is `seconds` later."""
        self.mine(1, seconds)

    def _set_block(self, number: int, timestamp: int) -> None:
        self._number, self._timestamp = number, timestamp
        self._evm.set_block_env(
            pyrevm.BlockEnv(number=number, timestamp=timestamp, gas_limit=GAS_LIMIT, basefee=0)
        )

    # -- state

    def snapshot(self) -> tuple[Any, int, int]:
        """A point to `revert` to, once."""
        return self._evm.snapshot(), self._number, self._timestamp

    def revert(self, point: tuple[Any, int, int]) -> None:
        """Back to a snapshot, time included. Snapshots taken after it are void."""
        self._evm.revert(point[0])
        self._evm.reset_transient_storage()
        self._set_block(point[1], point[2])

    @contextmanager
    def trial(self) -> Iterator[None]:
        """What happens inside leaves no trace."""
        point = self.snapshot()
        try:
            yield
        finally:
            self.revert(point)

    def compact(self) -> None:
        """Carry the whole state into a new EVM and let the grown journal go."""
        if self._evm.journal_depth != 0:
            raise RuntimeError("a snapshot is open: revert to it first")
        accounts = self._evm.journal_state
        storage = _storage_of(self._evm.journal_str)
        if len(storage) != len(accounts):
            raise RuntimeError("the EVM's state does not read as this version of pyrevm writes it")
        for address, slots in storage.items():
            self._carried.setdefault(address, {}).update(slots)
        fresh = pyrevm.EVM(gas_limit=GAS_LIMIT)
        known = {address.lower(): info for address, info in self._evm.db_accounts.items()}
        known.update({address.lower(): info for address, info in accounts.items()})
        for address, info in known.items():
            fresh.insert_account_info(
                address,
                pyrevm.AccountInfo(
                    nonce=info.nonce, balance=info.balance, code=self._code.get(address)
                ),
            )
            for slot, word in self._carried.get(address, {}).items():
                fresh.insert_account_storage(address, slot, word)
        self._evm = fresh
        self._transactions = 0
        self._set_block(self._number, self._timestamp)

    # -- one transaction

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            self._end_of_transaction()
            raise self._revert(error) from None

    def _end_of_transaction(self) -> None:
        self._transactions += 1
        self._result = self._evm.result
        self._evm.reset_transient_storage()

    def _revert(self, error: RuntimeError) -> Exception:
        text = str(error)
        if halted := _HALTED.match(text):
            return Revert(f"halt: {halted[1]}")
        if not (reverted := _REVERTED.match(text)):
            return error
        data = bytes.fromhex(reverted[2])
        if data[:4] == _ERROR:
            return Revert(_error_text(data[4:])[0], data)
        if data[:4] == _PANIC:
            return Revert(f"panic: 0x{int.from_bytes(data[4:36], 'big'):02x}", data)
        if data[:4] in self._errors:
            return Revert(self._errors[data[:4]](data[4:]), data)
        return Revert(data.hex(), data)


class Contract:
    """A contract on an `Evm`: its functions are attributes.

    A view or pure function takes its arguments and optionally `sender`; any other is a
    transaction and needs `sender` (and may take `value`). `name.simulate(...)` gives what a
    transaction would return, without doing it. One output is returned bare, several as a tuple.
    """

    def __init__(self, evm: Evm, address: str, abi: list[dict[str, Any]]) -> None:
        self.evm, self.address, self.abi = evm, address, abi
        self._functions: dict[str, list[dict[str, Any]]] = {}
        for entry in abi:
            if entry["type"] == "function":
                self._functions.setdefault(entry["name"], []).append(entry)

    def __getattr__(self, name: str) -> Function:
        try:
            entries = self.__dict__["_functions"][name]
        except KeyError:
            raise AttributeError(f"the contract has no function {name!r}") from None
        function = Function(self.evm, self.address, entries)
        setattr(self, name, function)
        return function

    def __repr__(self) -> str:
        return f"Contract({self.address})"


class Function:
    """One function of a contract; with default arguments it has several forms by length."""

    def __init__(self, evm: Evm, address: str, entries: list[dict[str, Any]]) -> None:
        self._evm, self._address = evm, address
        self._name: str = entries[0]["name"]
        self._static = entries[0]["stateMutability"] in ("view", "pure")
        self._forms = {}
        for entry in entries:
            self._forms[len(entry["inputs"])] = (
                abi_coding.selector(entry["name"], entry["inputs"]),
                abi_coding.encoder(entry["inputs"]),
                _output(entry.get("outputs", [])),
            )

    def __call__(self, *args: Any, sender: str | None = None, value: int = 0) -> Any:
        data, decode = self._coded(args)
        if self._static:
            return decode(self._evm.call(self._address, data, sender or self._address_of_nobody))
        if sender is None:
            raise TypeError(f"{self._name} is a transaction: name its sender")
        return decode(self._evm.transact(self._address, data, sender, value))

    def simulate(self, *args: Any, sender: str) -> Any:
        """What the transaction would return; Revert when it would revert."""
        data, decode = self._coded(args)
        return decode(self._evm.call(self._address, data, sender, static=False))

    def encode(self, *args: Any) -> bytes:
        """The calldata of a call."""
        return self._coded(args)[0]

    _address_of_nobody = "0x" + "00" * 19 + "ff"

    def _coded(self, args: tuple[Any, ...]) -> tuple[bytes, Callable[[bytes], Any]]:
        try:
            selector, encode, decode = self._forms[len(args)]
        except KeyError:
            takes = " or ".join(map(str, sorted(self._forms)))
            raise TypeError(f"{self._name} takes {takes} arguments, got {len(args)}") from None
        return selector + encode(args), decode


def _output(outputs: list[dict[str, Any]]) -> Callable[[bytes], Any]:
    if not outputs:
        return lambda _: None
    decode = abi_coding.decoder(outputs)
    if len(outputs) == 1:
        return lambda data: decode(data)[0]
    if all(p.get("name") for p in outputs):
        make = abi_coding.record("Result", outputs)
        return lambda data: make(*decode(data))
    return decode


def _event_decoder(entry: dict[str, Any]) -> Callable[[Any], Event]:
    name, inputs = entry["name"], entry["inputs"]
    make = abi_coding.record(name, inputs)
    # an indexed value of variable size is there as its hash only
    indexed = [
        p if not re.search(r"string|bytes$|\[|tuple", p["type"]) else {"type": "bytes32"}
        for p in inputs
        if p["indexed"]
    ]
    from_topics = [abi_coding.decoder([p]) for p in indexed]
    from_data = abi_coding.decoder([p for p in inputs if not p["indexed"]])
    order = [p["indexed"] for p in inputs]

    def decode(log: tuple[str, list[bytes], bytes]) -> Event:
        address, topics, data = log
        in_topics = iter([read(t)[0] for read, t in zip(from_topics, topics[1:], strict=True)])
        in_data = iter(from_data(data))
        values = [next(in_topics) if is_topic else next(in_data) for is_topic in order]
        return Event(name, address, make(*values))

    return decode


def _error_decoder(entry: dict[str, Any]) -> Callable[[bytes], str]:
    decode = abi_coding.decoder(entry["inputs"])
    return lambda data: f"{entry['name']}({', '.join(map(str, decode(data)))})"


_error_text = abi_coding.decoder([{"type": "string"}])

# The state of the journal as revm's debug form writes it: accounts by address, each with the
# storage words it has touched. Nothing else in the binding lists a contract's storage.
_ACCOUNT = re.compile(r"(0x[0-9a-f]{40}): Account \{.*?\}, storage: \{(.*?)\}, status:", re.DOTALL)
_WORD = re.compile(
    r"(\d+): (?:EvmS|S)torageSlot \{ (?:previous_or_)?original_value: \d+, present_value: (\d+)"
)


def _storage_of(journal: str) -> dict[str, dict[int, int]]:
    state = journal[: journal.index("transient_storage: ")]
    return {
        address: {int(slot): int(word) for slot, word in _WORD.findall(words)}
        for address, words in _ACCOUNT.findall(state)
    }
