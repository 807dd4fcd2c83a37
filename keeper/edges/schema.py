"""Tables of the keeper's store as its migrations leave them, and the words for how far an intent
and a transaction are."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

tables = MetaData()

meta = Table("meta", tables, Column("key", String, primary_key=True), Column("value", String))
intents = Table(
    "intents",
    tables,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),  # kind, subject and state
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("payload", String, nullable=False),  # JSON: what would be sent, in words
    Column("status", String, nullable=False, index=True),
    Column("reason", String, nullable=False, default=""),
    Column("block", BigInteger, nullable=False),  # head when it was decided
)
transactions = Table(
    "transactions",
    tables,
    Column("id", Integer, primary_key=True),
    Column("intent_id", ForeignKey("intents.id"), nullable=False, index=True),
    Column("sender", LargeBinary, nullable=False),
    Column("nonce", BigInteger, nullable=False, index=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("raw", LargeBinary, nullable=False),  # signed bytes: sent again they are the same
    Column("to", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("gas", BigInteger, nullable=False),
    Column("max_fee", String, nullable=False),  # wei per gas
    Column("priority_fee", String, nullable=False),
    Column("status", String, nullable=False, index=True),
    Column("replaced_by", LargeBinary),  # hash
    Column("block", BigInteger),  # mined in
    Column("gas_used", BigInteger),
    Column("signed_at", Double, nullable=False),  # wall time, unix seconds
    Column("latency_ms", Double),  # from the price seen to the signature
)
decisions = Table(
    "decisions",
    tables,
    Column("id", Integer, primary_key=True),
    Column("block", BigInteger, nullable=False, index=True),
    Column("time", BigInteger, nullable=False),  # of the head
    Column("kind", String, nullable=False),
    Column("inputs", String, nullable=False),
    Column("outputs", String, nullable=False),
)
reports = Table(
    "reports",
    tables,
    Column("feed", Integer, nullable=False),
    Column("slot", BigInteger, nullable=False),
    Column("previous", BigInteger, nullable=False),
    Column("price", String, nullable=False),  # feed units
    Column("conf_ppm", Integer, nullable=False),
    UniqueConstraint("feed", "slot"),
)
snapshots = Table(
    "snapshots",
    tables,
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
leases = Table(
    "leases",
    tables,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("token", BigInteger, nullable=False),  # rises with every change of holder
    Column("until", Double, nullable=False),  # the database's clock, unix seconds
    Column("head", BigInteger, nullable=False),  # newest block that the holder has worked through
    Column("advanced_at", Double, nullable=False),  # when it came to that block
)


class IntentStatus(StrEnum):
    """Where an intent stands."""

    PLANNED = "planned"  # written, nothing signed
    SENT = "sent"  # at least one transaction may be on its way
    DONE = "done"  # mined and succeeded
    REJECTED = "rejected"  # refused before sending: not in this state
    FAILED = "failed"  # mined and reverted
    DROPPED = "dropped"  # given up: nothing of it can be mined any more


class TxStatus(StrEnum):
    """Where a transaction stands."""

    SIGNED = "signed"  # stored, perhaps sent
    SENT = "sent"  # the node has it
    MINED = "mined"
    REVERTED = "reverted"
    REPLACED = "replaced"  # another of the same nonce was mined
    DROPPED = "dropped"  # its nonce is free again


LIVE = (TxStatus.SIGNED, TxStatus.SENT)
