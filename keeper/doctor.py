"""`keeper doctor`: one line for each thing that has to be right, with the fix where it is not."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from keeper.config import Config
from keeper.core.units import WAD
from keeper.edges import abi, addresses, parameters, prices, signer
from keeper.edges.addresses import CONTRACTS, AddressBook, AddressBookError
from keeper.edges.chain import Chain, Header, RpcError, Unreachable, hex_of
from keeper.edges.parameters import Views
from keeper.edges.store import Store, StoreError

LOW_BALANCE_WEI = WAD // 20  # 0.05 ether: a few dozen liquidations at usual fees


class Mark(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"  # the keeper runs, but not as well as it could
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One line."""

    name: str
    mark: Mark
    found: str
    fix: str = ""


def examine(config: Config) -> Iterator[Check]:
    """Every check that can still be made; a failed one may end the list."""
    yield from _store(config)
    try:
        book = addresses.load(config.chain.addresses)
    except AddressBookError as error:
        yield Check("address book", Mark.FAILED, str(error), "deploy, or set chain.addresses")
        return
    yield Check("address book", Mark.OK, str(config.chain.addresses.name))
    chain = Chain(str(config.chain.url), config.chain.timeout_seconds, config.chain.batch)
    try:
        yield from _chain(config, book, chain)
        head = chain.header("latest")
        yield from _head(config, head)
        contracts = _contracts(book, chain)
        yield contracts
        yield from _keys(config, chain)
        if contracts.mark is Mark.FAILED:
            return
        yield from _reporters(config, book, chain, head)
        yield from _prices(config, book, chain, head)
    except (Unreachable, RpcError) as error:
        yield Check("endpoint", Mark.FAILED, str(error),
                    "start the node, or set chain.url to one that answers")  # fmt: skip
    except abi.AbiError as error:
        yield Check("contracts", Mark.FAILED, str(error), "install the keeper of this deployment")


def _store(config: Config) -> Iterator[Check]:
    path = config.store.path
    folder = path.parent
    if not config.store.begun:
        while not folder.exists():
            folder = folder.parent
        try:
            with tempfile.TemporaryFile(dir=folder):
                yield Check("store", Mark.OK, f"{path.name} will be made")
        except OSError:
            yield Check("store", Mark.FAILED, f"{folder} is not writable",
                        "set store.path to a folder that is")  # fmt: skip
        return
    try:
        store = Store(config.store.where)
    except StoreError as error:
        yield Check("store", Mark.FAILED, str(error), "mend it, or set store.path or store.url")
        return
    found = "PostgreSQL" if config.store.url else f"{path.name}, {path.stat().st_size // 1024} KiB"
    yield Check("store", Mark.OK, found)
    store.close()


def _chain(config: Config, book: AddressBook, chain: Chain) -> Iterator[Check]:
    found = chain.chain_id()
    if found != config.chain.chain_id:
        yield Check("chain id", Mark.FAILED, f"{found}, expected {config.chain.chain_id}",
                    "set chain.url to the right chain, or chain.chain_id")  # fmt: skip
    elif found != book.chain_id:
        yield Check("chain id", Mark.FAILED, f"{found}, the address book is of {book.chain_id}",
                    "set chain.addresses to the book of this chain")  # fmt: skip
    else:
        yield Check("chain id", Mark.OK, str(found))


def _head(config: Config, head: Header) -> Iterator[Check]:
    age = int(time.time()) - head.timestamp
    if age > config.chain.max_head_age_seconds:
        yield Check("head", Mark.WARNING, f"block {head.number} is {age} s old",
                    "check that the node is in sync; on a devnet, mine at an interval")  # fmt: skip
    else:
        shown = f"{age} s old" if age >= 0 else f"{-age} s ahead of this machine's clock"
        yield Check("head", Mark.OK, f"block {head.number}, {shown}")


def _contracts(book: AddressBook, chain: Chain) -> Check:
    requests = [("eth_getCode", [hex_of(book.address(name)), "latest"]) for name in CONTRACTS]
    codes = chain.batch(list(requests))
    bare = [name for name, code in zip(CONTRACTS, codes, strict=True) if code in ("0x", None)]
    if bare:
        return Check("contracts", Mark.FAILED, f"no code at {', '.join(bare)}",
                     "deploy again, or set chain.addresses to the book of this chain")  # fmt: skip
    return Check("contracts", Mark.OK, f"{len(CONTRACTS)} with code")


def _keys(config: Config, chain: Chain) -> Iterator[Check]:
    try:
        key = signer.sender(config.keys)
    except signer.SignerError as error:
        yield Check("key", Mark.FAILED, str(error), "set keys.keystore and keys.password_file")
        return
    if key is None:
        mark = Mark.WARNING if config.dry_run else Mark.FAILED
        yield Check("key", mark, "none", "set keys.keystore; without it only dry runs")
        return
    yield Check("key", Mark.OK, key.name)
    balance = int(chain.request("eth_getBalance", hex_of(key.address), "latest"), 16)
    shown = f"{balance / WAD:.4f} ether"
    if balance < LOW_BALANCE_WEI:
        mark = Mark.WARNING if config.dry_run else Mark.FAILED
        yield Check("balance", mark, shown, f"send ether to {key.name}")
    else:
        yield Check("balance", Mark.OK, shown)
    if config.dry_run:
        yield Check("mode", Mark.WARNING, "dry run: nothing is sent",
                    "set dry_run = false when you have watched it")  # fmt: skip


def _reporters(config: Config, book: AddressBook, chain: Chain, head: Header) -> Iterator[Check]:
    try:
        keys = signer.reporters(config.reporters)
    except signer.SignerError as error:
        yield Check("reporters", Mark.FAILED, str(error), "correct [reporters]")
        return
    constants = parameters.read(Views(chain, book), head).parameters
    if not keys:
        if config.duties.prices and config.prices.source != "none":
            yield Check("reporters", Mark.FAILED, "no keys, but a price source",
                        "set [reporters], or duties.prices = false")  # fmt: skip
        else:
            yield Check("reporters", Mark.OK, "none here: others post prices")
        return
    strangers = [key.name for key in keys if key.address not in constants.reporters]
    if strangers:
        yield Check("reporters", Mark.FAILED, f"not listed: {', '.join(strangers)}",
                    "have the governor list them, or correct reporters.dev_indices")  # fmt: skip
    elif len(keys) < constants.quorum:
        yield Check("reporters", Mark.FAILED, f"{len(keys)} keys, a quorum is {constants.quorum}",
                    "add keys to [reporters]")  # fmt: skip
    else:
        yield Check("reporters", Mark.OK, f"{len(keys)} keys, a quorum is {constants.quorum}")


def _prices(config: Config, book: AddressBook, chain: Chain, head: Header) -> Iterator[Check]:
    try:
        prices.source_of(config.prices, list(book.feeds), head.timestamp, {})
    except prices.PriceError as error:
        yield Check("price source", Mark.FAILED, str(error), "correct [prices]")
    views = Views(chain, book)
    feeds = parameters.read(views, head).feeds
    for name, feed in book.feeds.items():
        (state,) = views.ask([("OracleHub", "state", (feed,))], head)
        limit = feeds[feed].max_age_seconds  # type: ignore[index]
        age = head.timestamp - state["slot"]
        if state["slot"] == 0:
            yield Check(f"price {name}", Mark.WARNING, "never posted",
                        "start a keeper with a price source")  # fmt: skip
        elif age > limit:
            yield Check(f"price {name}", Mark.WARNING, f"{age} s old, fresh is {limit} s",
                        "start a keeper with a price source")  # fmt: skip
        else:
            yield Check(f"price {name}", Mark.OK, f"{age} s old")
