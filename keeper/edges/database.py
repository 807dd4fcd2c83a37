"""A database that a store lives in: SQLite in one file, or PostgreSQL for several machines.

It is brought to the newest schema when it is opened, in one transaction, by one keeper at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as Migrations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Double, Engine, Table, create_engine, event, func, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

SCRIPTS = Path(__file__).resolve().parents[1] / "migrations"
MIGRATING = 0xBA11A57  # key of PostgreSQL's advisory lock
BUSY_MS = 5_000  # how long SQLite waits for another process

# of PostgreSQL: what a keeper that froze in the middle of a transaction holds is let go
_SESSION = "-c idle_in_transaction_session_timeout=5000 -c lock_timeout=10000"

Where = Path | str  # of a SQLite file, or a URL of PostgreSQL


class StoreError(Exception):
    """A store that cannot be used; the text says what to do."""


def name_of(where: Where) -> str:
    """As messages call it: never with a password."""
    return str(where) if isinstance(where, Path) else make_url(where).render_as_string()


def url_of(where: Where) -> URL:
    """For SQLAlchemy. Raises StoreError for what is no URL of PostgreSQL."""
    if isinstance(where, Path):
        return URL.create("sqlite", database=str(where))
    try:
        url = make_url(where)
    except ArgumentError:
        raise StoreError(f"{where}: expected postgresql://user@host:port/database") from None
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise StoreError(f"{url.drivername}: expected postgresql://user@host:port/database")
    return url.set(drivername="postgresql+psycopg")


def insert(engine: Engine, table: Table) -> Any:
    """An INSERT with the `on_conflict_...` of this database: both spell it alike."""
    dialect: Any = sqlite if engine.dialect.name == "sqlite" else postgresql
    return dialect.insert(table)


def now(engine: Engine) -> Any:
    """The database's clock as an expression, unix seconds: the one that all its keepers share."""
    if engine.dialect.name == "sqlite":
        return (func.julianday("now") - 2_440_587.5) * 86_400
    return func.extract("epoch", func.clock_timestamp()).cast(Double)


def open_engine(where: Where) -> Engine:
    """Connect, and bring the schema up to date. Raises StoreError."""
    if isinstance(where, Path):
        where.parent.mkdir(parents=True, exist_ok=True)
    try:
        options = {} if isinstance(where, Path) else {"options": _SESSION, "connect_timeout": 10}
        engine = create_engine(url_of(where), connect_args=options)
    except (ImportError, NoSuchModuleError):
        raise StoreError(
            "PostgreSQL needs its driver: pip install 'ballast-keeper[postgres]'"
        ) from None
    if isinstance(where, Path):
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with engine.begin() as connection:
            _migrate(connection, name_of(where))
    except SQLAlchemyError as error:
        engine.dispose()
        kind = "SQLite file" if isinstance(where, Path) else "PostgreSQL database"
        raise StoreError(f"{name_of(where)}: not a usable {kind}: {error.args[0]}") from None
    except StoreError:
        engine.dispose()
        raise
    return engine


def newest() -> str:
    """The schema that this keeper writes."""
    head = ScriptDirectory(str(SCRIPTS)).get_current_head()
    assert head is not None, "there is a first migration"
    return head


def _migrate(connection: Connection, name: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATING})
    found = MigrationContext.configure(connection).get_current_revision()
    if found == newest():
        return
    if found is None and inspect(connection).has_table("intents"):
        raise StoreError(f"{name}: of a keeper before 0.1: move it away or choose another store")
    settings = Migrations()
    settings.set_main_option("script_location", str(SCRIPTS))
    settings.attributes["connection"] = connection
    try:
        command.upgrade(settings, "head")
    except CommandError:
        raise StoreError(
            f"{name}: written by a newer keeper (schema {found}, this one knows {newest()}): "
            "upgrade the keeper or choose another store"
        ) from None


def _configure_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, DDL included
    cursor = connection.cursor()
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        f"busy_timeout = {BUSY_MS}",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
