"""The commented configuration that `keeper init` writes, rendered from the schema itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from keeper.config import Config

# What `keeper init --devnet` fills in: the accounts of a development chain's public mnemonic.
DEVNET: dict[str, Any] = {
    "dry_run": False,
    "keys": {
        "dev_mnemonic": "test test test test test test test test test test test junk",
        "dev_index": 2,
    },
    "reporters": {
        "dev_mnemonic": "test test test test test test test test test test test junk",
        "dev_indices": [3, 4, 5],
    },
    "prices": {"source": "generator", "start": {"BTC": 60000.0, "ETH": 3000.0, "SOL": 150.0}},
}

_WIDTH = 38  # column of the comments


def render(values: Config | None = None) -> str:
    """TOML with every key, its default or the value given, and what it means."""
    config = values or Config()
    lines = ["# Configuration of the keeper: `keeper doctor` checks it against the chain.", ""]
    lines += _lines(config, Config)
    for name in Config.model_fields:
        section = getattr(config, name)
        if isinstance(section, BaseModel):
            lines += [
                "",
                f"[{name}]  # {(type(section).__doc__ or '').strip()}",
            ]
            lines += _lines(section, type(section))
    return "\n".join(lines) + "\n"


def _lines(values: BaseModel, model: type[BaseModel]) -> list[str]:
    lines = []
    for name, field in model.model_fields.items():
        value = getattr(values, name)
        if isinstance(value, BaseModel):
            continue
        setting = f'# {name} = ""' if value is None else f"{name} = {_toml(value)}"
        lines.append(f"{setting:<{_WIDTH}}  # {field.description}")
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {_toml(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(one) for one in value)}]"
    if isinstance(value, Path):
        return json.dumps(value.as_posix())
    return json.dumps(str(value))
