"""A PostgreSQL server of our own, on loopback: from what the machine has, or from a package.

    with postgres.server() as server:
        url = server.database()          # a fresh one

Raises Missing where there is neither: whoever asks says that it was not run.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

HOST = "127.0.0.1"
ROLE = "keeper"
START_SECONDS = 120  # a machine under load is slow, not broken
LEAN = "-c fsync=off -c shared_buffers=16MB -c max_connections=32"  # the machine stays up


class Missing(Exception):
    """No PostgreSQL on this machine, nor the package that ships it."""


@dataclass(slots=True)
class Server:
    """A running server; every database in it is fresh."""

    binaries: Path
    folder: Path
    port: int
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def _url(self) -> str:
        return f"postgresql://{ROLE}@{HOST}:{self.port}"

    def database(self) -> str:
        """The URL of a new database."""
        name = f"keeper_{next(self._numbers)}"
        with psycopg.connect(f"{self._url}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"{self._url}/{name}"

    def control(self, *arguments: str) -> None:
        """`pg_ctl` on it. Raises CalledProcessError with what it said."""
        _run(
            [str(self.binaries / "pg_ctl"), "-D", str(self.folder / "data"),
             "-l", str(self.folder / "log"), "-t", str(START_SECONDS), *arguments],
        )  # fmt: skip

    def start(self) -> None:
        options = f"-c listen_addresses={HOST} -c port={self.port} -k {self.folder} {LEAN}"
        self.control("-w", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self.control("-w", "-m", mode, "stop")


@contextmanager
def server() -> Iterator[Server]:
    """A server with an empty cluster, gone with its files when the block ends."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="ballast-postgres-"))
    running = Server(_binaries(), folder, port)
    try:
        if account := _account():
            shutil.chown(folder, account)
        _run([str(running.binaries / "initdb"), "-D", str(folder / "data"), "-U", ROLE,
              "-A", "trust", "--no-sync"])  # fmt: skip
        running.start()
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    """Where initdb and pg_ctl are."""
    found = shutil.which("pg_ctl")
    if found and (real := Path(found).resolve().parent) and (real / "initdb").exists():
        return real
    for installed in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (installed / "initdb").exists():
            return installed
    package = importlib.util.find_spec("pgserver")
    if package is not None and package.origin is not None:
        return Path(package.origin).parent / "pginstall" / "bin"
    raise Missing("PostgreSQL is not installed, nor the package pgserver")


def _account() -> str | None:
    """Whom to run it as: it refuses to be root."""
    return "nobody" if os.geteuid() == 0 else None


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, user=_account(), capture_output=True, text=True, cwd="/", check=False
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
