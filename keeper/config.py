"""The keeper's configuration: one schema, from which file, template and refusals come.

Every field's description is the comment that `keeper init` writes beside it. A file that does
not fit is refused at start with its name, the key, the value and what was expected.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    ValidationError,
    field_validator,
    model_validator,
)

DEVNETS = (1337, 5777, 31337)  # chain ids on which keys from a mnemonic are allowed

Ppm = Annotated[int, Field(ge=0, le=1_000_000)]


class ConfigError(Exception):
    """A configuration that cannot be used; the text says which file, which key, what to write."""


def _key(default: Any, text: str, **bounds: Any) -> Any:
    """A setting: its default, what it means, and its bounds."""
    return Field(default=default, description=text, **bounds)


class Section(BaseModel):
    """A table of the file: closed, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class ChainSettings(Section):
    """The node and the contracts on it."""

    url: HttpUrl = _key(HttpUrl("http://127.0.0.1:8545"), "JSON-RPC endpoint, http or https")
    chain_id: int = _key(31337, "what the endpoint must answer to eth_chainId", ge=1)
    addresses: Path = _key(
        Path("build/addresses-devnet.json"),
        "address book that the deployment wrote; relative to this file",
    )
    confirmations: int = _key(0, "blocks behind the head to index up to", ge=0, le=256)
    poll_ms: int = _key(25, "pause between looks at the head", ge=1, le=60_000)
    timeout_seconds: float = _key(10, "for one request", gt=0, le=120)
    log_range: int = _key(2000, "blocks asked for at once; halved when refused", ge=1, le=1_000_000)
    batch: int = _key(200, "calls in one JSON-RPC batch", ge=1, le=2000)
    max_head_age_seconds: int = _key(
        120, "older than this by the wall clock is reported as a stale head", ge=1
    )


class KeySettings(Section):
    """Who sends the transactions: a keystore, or on a devnet an account of a mnemonic."""

    keystore: Path | None = _key(None, "keystore v3 file")
    password_file: Path | None = _key(None, "file with the keystore's password")
    dev_mnemonic: str | None = _key(None, "devnets only (chain id 1337, 5777 or 31337)", repr=False)
    dev_index: int = _key(0, "which account of dev_mnemonic", ge=0)

    @model_validator(mode="after")
    def _one_source(self) -> KeySettings:
        if self.keystore and self.dev_mnemonic:
            raise ValueError("expected keystore or dev_mnemonic, not both")
        if self.keystore and not self.password_file:
            raise ValueError("expected password_file beside keystore")
        return self


class ReporterSettings(Section):
    """Reporters whose keys this keeper holds: devnets only, elsewhere reports come signed."""

    dev_mnemonic: str | None = _key(None, "mnemonic of the reporters", repr=False)
    dev_indices: list[int] = _key([], "accounts of dev_mnemonic that are reporters")
    keystores: list[Path] = _key([], "keystore v3 files of reporters")
    password_file: Path | None = _key(None, "password of those keystores")


class PriceSettings(Section):
    """Where prices come from and when they are posted."""

    source: Literal["none", "csv", "generator", "push"] = _key(
        "none", "none, csv (time,asset,price), generator (seeded) or push"
    )
    path: Path | None = _key(
        None, "csv: the file; push: .json (latest), .jsonl (appended) or a folder of .json"
    )
    url: HttpUrl | None = _key(None, "push: an address that answers the same JSON")
    shift: bool = _key(True, "csv: move the file's first time to the chain's time at first start")
    seed: int = _key(1, "generator: the same seed gives the same path")
    start: dict[str, Annotated[float, Field(gt=0)]] = _key(
        {}, "generator: price per asset to start from, { BTC = 60000 }"
    )
    volatility: float = _key(0.8, "generator: of one year, 0.8 = 80 %", gt=0, le=10)
    confidence_ppm: Ppm = _key(200, "confidence signed when the source gives none")
    deviation_ppm: Ppm = _key(0, "post when the price moved by this; 0: every slot")
    heartbeat_seconds: int = _key(60, "post at least this often", ge=1)


class DutySettings(Section):
    """What this keeper does."""

    prices: bool = _key(True, "sign and post price reports")
    orders: bool = _key(True, "trigger and execute orders, expire late ones, bring signed ones")
    funding: bool = _key(True, "accrue instruments")
    volatility: bool = _key(True, "sample volatility every five minutes")
    calls: bool = _key(True, "call accounts below the call line, clear the others")
    liquidations: bool = _key(True, "liquidate, and absorb what is left")
    settlements: bool = _key(
        True, "fix the value of delisted instruments and settle what is open in them"
    )
    debt_sales: bool = _key(
        False, "buy collateral of debtors at a discount with the keeper's own money"
    )
    pool: bool = _key(True, "execute the pool's requests")
    audit: bool = _key(True, "recompute health and ledger and publish differences")


class RelaySettings(Section):
    """Signed orders that this keeper brings on chain."""

    folder: Path | None = _key(None, "where they are handed in, one .json file each")
    min_fee_usd: float = _key(0, "leave those that pay less to others", ge=0, le=1_000)


class PolicySettings(Section):
    """Limits on one round of decisions."""

    liquidation_batch: int = _key(10, "accounts in one transaction", ge=1, le=40)
    liquidation_rounds: int = _key(4, "such transactions at a time", ge=1, le=50)
    order_batch: int = _key(10, "orders in one transaction", ge=1, le=40)
    accrue_seconds: int = _key(3600, "longest time without an accrual", ge=1)
    audit_seconds: int = _key(5, "between two audits; 0: after every block", ge=0)
    audit_sample: int = _key(25, "accounts in one audit", ge=1, le=1000)
    min_debt_sale_usd: int = _key(10, "leave smaller debts to others", ge=0)
    min_debt_discount_ppm: int = _key(5_000, "wait until a debt sale takes this off", ge=0)


class GasSettings(Section):
    """What a transaction may cost."""

    max_fee_gwei: float = _key(200, "cap of the fee per gas", gt=0)
    priority_gwei: float = _key(1, "tip of a first try", ge=0)
    bump_percent: int = _key(15, "raise of each replacement", ge=11, le=100)
    max_bumps: int = _key(6, "replacements of one transaction", ge=0, le=50)
    replace_seconds: float = _key(24, "wait before a replacement", gt=0)


class StoreSettings(Section):
    """Where the keeper remembers."""

    path: Path = _key(Path("keeper.sqlite"), "SQLite file; relative to this file")
    url: str | None = _key(
        None, "PostgreSQL instead: postgresql://user@host/database; password by PGPASSFILE"
    )
    lease_seconds: float = _key(
        10.0, "with url: a keeper that stands so long is taken over by another on it", ge=1
    )
    snapshot_blocks: int = _key(100, "index saved every so many blocks", ge=1)

    @field_validator("url")
    @classmethod
    def _is_postgresql_without_password(cls, url: str | None) -> str | None:
        if url is not None:
            parts = urlsplit(url)
            if parts.scheme != "postgresql" or not parts.path.strip("/"):
                raise ValueError("expected postgresql://user@host:port/database")
            if parts.password is not None:
                raise ValueError("expected no password in it: put it in the file of PGPASSFILE")
        return url

    @property
    def where(self) -> Path | str:
        """The database: a URL of PostgreSQL, or a file."""
        return self.url or self.path

    @property
    def begun(self) -> bool:
        """Whether there may be something in it; False before the first run on a file."""
        return self.url is not None or self.path.exists()


class HttpSettings(Section):
    """/healthz and /metrics, on loopback only."""

    enabled: bool = _key(True, "serve them")
    port: int = _key(9600, "0: a free one, printed at start", ge=0, le=65535)


class LogSettings(Section):
    """What the keeper prints."""

    level: Literal["debug", "info", "warning", "error"] = _key("info", "least level")
    format: Literal["text", "json"] = _key("text", "key=value text, or JSON lines")


class Config(Section):
    """The whole file."""

    dry_run: bool = _key(True, "decide, simulate and journal, but sign and send nothing")
    chain: ChainSettings = ChainSettings()
    keys: KeySettings = KeySettings()
    reporters: ReporterSettings = ReporterSettings()
    prices: PriceSettings = PriceSettings()
    duties: DutySettings = DutySettings()
    relay: RelaySettings = RelaySettings()
    policy: PolicySettings = PolicySettings()
    gas: GasSettings = GasSettings()
    store: StoreSettings = StoreSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        for name, mnemonic in (
            ("keys", self.keys.dev_mnemonic),
            ("reporters", self.reporters.dev_mnemonic),
        ):
            if mnemonic and self.chain.chain_id not in DEVNETS:
                raise ValueError(
                    f"{name}.dev_mnemonic: expected only on a devnet (chain_id "
                    f"{', '.join(map(str, DEVNETS))}); use a keystore on {self.chain.chain_id}"
                )
        needs = {"csv": self.prices.path, "push": self.prices.path or self.prices.url}
        if self.prices.source in needs and not needs[self.prices.source]:
            wanted = "prices.path" if self.prices.source == "csv" else "prices.path or prices.url"
            raise ValueError(f'{wanted}: expected with prices.source = "{self.prices.source}"')
        if self.prices.source == "generator" and not self.prices.start:
            raise ValueError('prices.start: expected with prices.source = "generator"')
        return self


_SECRET = ("url", "dev_mnemonic")  # never shown, also when they are wrong
_PATHS = (
    ("chain", "addresses"),
    ("keys", "keystore"),
    ("keys", "password_file"),
    ("reporters", "keystores"),
    ("reporters", "password_file"),
    ("prices", "path"),
    ("relay", "folder"),
    ("store", "path"),
)


def load(file: Path) -> Config:
    """Read and check a configuration; paths in it count from its folder. Raises ConfigError."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{file}: {error.strerror}: write one with `keeper init --config {file}`"
        ) from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from None
    return _anchored(parse(raw, str(file)), file.resolve().parent)


def parse(raw: dict[str, Any], name: str) -> Config:
    """Check values against the schema; `name` is what the refusal calls their source."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        lines = [_sentence(name, entry) for entry in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _anchored(config: Config, folder: Path) -> Config:
    sections: dict[str, Section] = {}
    for section, key in _PATHS:
        table = sections.get(section, getattr(config, section))
        value = getattr(table, key)
        if isinstance(value, list):
            value = [folder / path for path in value]
        elif value is not None:
            value = folder / value
        sections[section] = table.model_copy(update={key: value})
    return config.model_copy(update=sections)


def _sentence(name: str, entry: Any) -> str:
    """One refusal: file, key, value, expected."""
    place = [str(part) for part in entry["loc"]]
    key = ".".join(place)
    if entry["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place[-1], _keys_of(place[:-1]), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_keys_of(place[:-1]))}"
        return f"{name}: {key} = {entry['input']!r}: unknown key; {hint}"
    text = str(entry["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if not text.startswith("expected") and ": expected" not in text:
        text = f"expected {text}"
    if isinstance(entry["input"], dict):
        return f"{name}: {f'{key}: ' if key else ''}{text}"
    if place[-1] in _SECRET:
        return f"{name}: {key}: {text}"
    return f"{name}: {key} = {entry['input']!r}: {text}"


def _keys_of(place: list[str]) -> list[str]:
    model: type[BaseModel] = Config
    for part in place:
        model = _section(model, part) or model
    return list(model.model_fields)


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    field = model.model_fields.get(name)
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
