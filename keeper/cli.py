"""The command `keeper`. Exit codes: 0 ok, 2 configuration, 3 chain unreachable, 4 unsafe."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from keeper import __version__, calculator, config, doctor, show, template, wiring
from keeper.app import App
from keeper.calculator import BookError
from keeper.config import Config, ConfigError
from keeper.core.units import DAY
from keeper.edges.abi import AbiError
from keeper.edges.acts import Unsafe
from keeper.edges.addresses import AddressBookError
from keeper.edges.chain import Header, RpcError, Unreachable
from keeper.edges.clock import Clock
from keeper.edges.prices import PriceError
from keeper.edges.signer import SignerError
from keeper.edges.store import Store, StoreError
from keeper.edges.telemetry import Metrics, configure_logs, logger
from keeper.web.server import Server, WebError

EXIT_CONFIG = 2
EXIT_UNREACHABLE = 3
EXIT_UNSAFE = 4

app = typer.Typer(
    name="keeper",
    help="The keeper of Ballast: posts prices, executes orders, updates funding, liquidates.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="KEEPER_CONFIG", help="The configuration file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON value instead of text.")]
DEFAULT_CONFIG = Path("keeper.toml")


@contextmanager
def _explained() -> Iterator[None]:
    """Turn refusals into one sentence and an exit code."""
    try:
        yield
    except (ConfigError, SignerError, AddressBookError, StoreError, PriceError, WebError, BookError,
            wiring.WrongChain) as error:  # fmt: skip
        _leave(EXIT_CONFIG, str(error))
    except (Unreachable, RpcError) as error:
        _leave(EXIT_UNREACHABLE, f"the chain cannot be reached: {error}: check chain.url")
    except (Unsafe, AbiError) as error:
        _leave(EXIT_UNSAFE, f"stopped for safety: {error}")


def _leave(code: int, sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    raise typer.Exit(code)


@app.command()
def init(
    file: ConfigOption = DEFAULT_CONFIG,
    devnet: Annotated[
        bool, typer.Option(help="Fill in the development chain: its keys and a price generator.")
    ] = False,
    force: Annotated[bool, typer.Option(help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented configuration."""
    with _explained():
        if file.exists() and not force:
            raise ConfigError(f"{file}: exists already: give --force to overwrite it")
        values = config.parse(template.DEVNET, "devnet") if devnet else Config()
        try:
            file.write_text(template.render(values), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}") from None
    typer.echo(f"{file}: written. Next: keeper doctor --config {file}")


@app.command("config-schema")
def config_schema() -> None:
    """The configuration's JSON schema."""
    show.as_json(Config.model_json_schema())


@app.command("doctor")
def doctor_(file: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check everything that has to be right, and say the fix where it is not."""
    with _explained():
        found = list(doctor.examine(config.load(file)))
        if as_json:
            show.as_json(
                [{"check": c.name, "mark": c.mark, "found": c.found, "fix": c.fix} for c in found]
            )
        else:
            show.checks(found)
        failed = [one for one in found if one.mark is doctor.Mark.FAILED]
        if failed:
            unreachable = any(one.name == "endpoint" for one in failed)
            raise typer.Exit(EXIT_UNREACHABLE if unreachable else EXIT_CONFIG)


@app.command()
def run(
    file: ConfigOption = DEFAULT_CONFIG,
    dry_run: Annotated[
        bool | None, typer.Option("--dry-run/--live", help="Override dry_run of the file.")
    ] = None,
    until: Annotated[
        int | None, typer.Option(help="Stop when the chain's time reaches this (unix seconds).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run until SIGINT or SIGTERM; the next run goes on where this one stopped."""
    with _explained():
        settings = config.load(file)
        if dry_run is not None:
            settings = settings.model_copy(update={"dry_run": dry_run})
        configure_logs(settings.log.level, "json" if as_json else settings.log.format)
        clock, metrics = Clock(), Metrics()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: clock.stop())
        keeper = wiring.build(settings, clock, metrics)
        runner = App(keeper)
        server = None
        try:
            if settings.http.enabled:
                server = Server(settings.http.port, lambda: runner.progress, metrics)
                logger().info("serving", port=server.start())

            def over(head: Header) -> bool:
                return until is not None and head.timestamp >= until

            _guarded(runner, over)
        finally:
            if server is not None:
                server.stop()
            keeper.close()


def _guarded(runner: App, over: Callable[[Header], bool]) -> None:
    """Run; whatever ends it other than a stop is logged and means that it was not safe to go on."""
    try:
        runner.run(over)
    except (Unsafe, AbiError) as error:
        logger().error("stopped for safety", why=str(error))
        raise
    except Exception as error:
        logger().error("stopped by a fault of the keeper", exc_info=True)
        raise Unsafe(f"a fault of the keeper, {type(error).__name__}: see its log") from error


@app.command()
def scan(
    file: ConfigOption = DEFAULT_CONFIG,
    limit: Annotated[int, typer.Option(min=1, help="How many accounts.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """The accounts nearest to their line, from the chain's logs up to its head."""
    with _explained():
        settings = config.load(file)
        configure_logs("warning", settings.log.format)
        index, book = wiring.indexed(settings)
        rows = show.nearest(index, book, limit)
        if as_json:
            show.as_json(rows)
        else:
            show.scan(rows)


@app.command()
def status(file: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """How far the keeper of this configuration is, what it has sent, how fast it was."""
    with _explained():
        settings = config.load(file).store
        if not settings.begun:
            raise ConfigError(f"{settings.path}: no store yet: start `keeper run --config {file}`")
        store = Store(settings.where)
        try:
            found: dict[str, Any] = show.status_of(store)
        finally:
            store.close()
        if as_json:
            show.as_json(found)
        else:
            show.status(found)


@app.command("price")
def price_(
    spot: Annotated[str, typer.Option(help="Index price, USD.")],
    kind: Annotated[str, typer.Option(help="future, call, put or power.")],
    strike: Annotated[str, typer.Option(help="Of a call or put, USD; no other kind asks.")] = "",
    vol: Annotated[str, typer.Option(help="Annual volatility, 0.8 = 80 %.")] = "",
    period_seconds: Annotated[int, typer.Option(help="Funding period T.")] = DAY,
    power: Annotated[int, typer.Option(help="Exponent of a power, 2 or 3.")] = 2,
    scale: Annotated[str, typer.Option(help="What a power is divided by.")] = "1",
    as_json: JsonOption = False,
) -> None:
    """What one unit of an instrument is worth, its slopes, and what it pays a day."""
    with _explained():
        found = calculator.price(kind, spot, strike, vol, period_seconds, power, scale)
        show.as_json(found) if as_json else show.fields(found)


@app.command("margin")
def margin_(
    book: Annotated[Path, typer.Argument(help="The book file (JSON).")],
    mode: Annotated[str, typer.Option(help="isolated, cross or portfolio.")] = "cross",
    as_json: JsonOption = False,
) -> None:
    """What a book of positions must hold, before it exists."""
    with _explained():
        try:
            text = book.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BookError(f"{book}: cannot be read: {error}") from None
        found = calculator.requirement(text, mode)
        show.as_json(found) if as_json else show.fields(found)


@app.command()
def version() -> None:
    """The keeper's version."""
    typer.echo(__version__)


def main() -> None:
    """Entry point."""
    app()
