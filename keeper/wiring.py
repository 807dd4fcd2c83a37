"""A keeper put together from its configuration: every part made once, in one place."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from keeper.config import Config
from keeper.core import reports, snapshot
from keeper.core.index import Checkpoint, Index
from keeper.core.types import Address, FeedId
from keeper.edges import addresses, parameters, prices, signer
from keeper.edges.addresses import AddressBook
from keeper.edges.audit import Auditor
from keeper.edges.chain import Chain, Header, Unreachable
from keeper.edges.clock import Clock
from keeper.edges.events import Follower
from keeper.edges.flights import Flights
from keeper.edges.parameters import Views
from keeper.edges.prices import Source
from keeper.edges.reporter import Reporter, to_decimal
from keeper.edges.store import Store
from keeper.edges.submitter import Submitter
from keeper.edges.telemetry import Metrics, logger
from keeper.rounds import Rounds

NOBODY = bytes(20)


class WrongChain(Exception):
    """The endpoint is of another chain; the text says which."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What this keeper competes for, and as whom."""

    name: str
    holder: str


@dataclass(slots=True)
class Keeper:
    """The parts of one keeper."""

    config: Config
    clock: Clock
    metrics: Metrics
    addresses: AddressBook
    chain: Chain
    store: Store
    views: Views
    index: Index
    follower: Follower
    submitter: Submitter
    rounds: Rounds
    auditor: Auditor
    reporter: Reporter | None
    source: Source
    lease: Lease | None  # shared with the other keepers of this database; None: it is alone

    def close(self) -> None:
        self.store.close()


def connect(config: Config) -> tuple[AddressBook, Chain, Header]:
    """The address book and the chain it is of. Raises AddressBookError, Unreachable, WrongChain."""
    book = addresses.load(config.chain.addresses)
    chain = Chain(str(config.chain.url), config.chain.timeout_seconds, config.chain.batch)
    found = chain.chain_id()
    for name, expected in (("chain.chain_id", config.chain.chain_id),
                           ("the address book", book.chain_id)):  # fmt: skip
        if found != expected:
            raise WrongChain(f"the endpoint is of chain {found}, {name} says {expected}")
    return book, chain, chain.header("latest")


def open_index(
    chain: Chain, views: Views, book: AddressBook, snapshots: list[Any], head: Header
) -> Index:
    """The index at the newest snapshot (rows of the store) that is still in the chain, or at the
    deployment. Raises Unreachable, RpcError."""
    constants = parameters.read(views, head)
    for row in snapshots:
        try:
            there = chain.header(row.block)
            index = Index(constants)
            snapshot.load(index, row.state)
        except (Unreachable, snapshot.SnapshotError) as reason:
            logger().warning("snapshot not used", block=row.block, why=str(reason))
            continue
        if there.hash == row.hash:
            index.start_at(Checkpoint(there.number, there.hash, there.timestamp))
            return index
        logger().warning("snapshot of another chain", block=row.block)
    start = chain.header(book.block)
    index = Index(constants)
    index.start_at(Checkpoint(start.number, start.hash, start.timestamp))
    return index


def indexed(config: Config) -> tuple[Index, AddressBook]:
    """An index of the head, for a look: from the store's snapshot if there is one, written
    nowhere. Raises as `build` does."""
    book, chain, head = connect(config)
    views = Views(chain, book)
    rows: list[Any] = []
    if config.store.begun:
        store = Store(config.store.where)
        rows = store.snapshots()
        store.close()
    index = open_index(chain, views, book, rows, head)
    Follower(chain, book, Metrics(), config.chain.log_range).follow(index, head)
    return index, book


def build(config: Config, clock: Clock, metrics: Metrics) -> Keeper:
    """Connect, open the store and make every part.

    Raises what its parts refuse with: AddressBookError, Unreachable, WrongChain, SignerError,
    StoreError, PriceError.
    """
    book, chain, head = connect(config)
    store = Store(config.store.where)
    lease = None
    if config.store.url is not None and not config.dry_run:
        lease = Lease(f"{book.chain_id}:{book.address('Clearinghouse').hex()}", uuid.uuid4().hex)
        store.fence(lease.name)
    views = Views(chain, book)
    index = open_index(chain, views, book, store.snapshots(), head)
    settlement = parameters.settlement_token(views, head)
    key = signer.sender(config.keys)
    flights = None
    if not config.dry_run:
        if key is None:
            raise signer.SignerError(
                "keys.keystore: expected a key to send with; set dry_run = true to only watch"
            )
        flights = Flights(chain, store, clock, metrics, config.gas, config.chain.chain_id, key)
    sender = NOBODY if key is None else key.address
    submitter = Submitter(chain, store, metrics, config.gas, sender, flights)
    reporter = _reporter(config, book, store, index, head)
    return Keeper(
        config=config,
        clock=clock,
        metrics=metrics,
        addresses=book,
        chain=chain,
        store=store,
        views=views,
        index=index,
        follower=Follower(chain, book, metrics, config.chain.log_range),
        submitter=submitter,
        rounds=Rounds(config, book, views, store, submitter, reporter, metrics, settlement),
        auditor=Auditor(book, views, metrics, settlement),
        reporter=reporter,
        source=_source(config, book, store, index, head),
        lease=lease,
    )


def _reporter(
    config: Config, book: AddressBook, store: Store, index: Index, head: Header
) -> Reporter | None:
    keys = signer.reporters(config.reporters)
    posts = config.duties.prices and config.prices.source != "none"
    if posts and len(keys) < index.parameters.quorum:
        raise signer.SignerError(
            f"reporters: keys of {len(keys)} are here, a quorum is {index.parameters.quorum}: add "
            'keys to [reporters], or set prices.source = "none" to leave prices to others'
        )
    if not keys:
        return None
    hub = Address(book.address("OracleHub"))
    reporter = Reporter(
        store,
        keys,
        {asset: FeedId(feed) for asset, feed in book.feeds.items()},
        reports.domain_separator(config.chain.chain_id, hub),
        config.prices.confidence_ppm,
    )
    reporter.recall(head.timestamp)
    return reporter


def _source(config: Config, book: AddressBook, store: Store, index: Index, head: Header) -> Source:
    """The price source, going on where an earlier run of this store began."""
    start = int(store.get("prices_start") or head.timestamp)
    store.put("prices_start", str(start))
    last: dict[str, Decimal] = {}
    for asset, feed in book.feeds.items():
        stored = index.prices[FeedId(feed)]
        if stored is not None:
            last[asset] = to_decimal(stored.median, index.feeds[FeedId(feed)].decimals)
    return prices.source_of(config.prices, list(book.feeds), start, last)
