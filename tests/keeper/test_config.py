"""The configuration: what is written is read back, what is wrong is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from keeper import config, template

FILE = "keeper.toml"


def test_template__every_default__is_a_valid_file() -> None:
    text = template.render()
    assert config.parse(tomllib.loads(text), FILE) == config.Config()


def test_template__names_every_key_with_a_comment() -> None:
    lines = template.render().splitlines()
    for name, field in config.Config.model_fields.items():
        section = getattr(config.Config(), name)
        keys = type(section).model_fields if isinstance(section, config.Section) else {name: field}
        for key, described in keys.items():
            found = [line for line in lines if line.lstrip("# ").startswith(f"{key} = ")]
            assert any(line.endswith(f"# {described.description}") for line in found)


def test_template__given_values__come_back() -> None:
    given = config.parse(
        {
            "dry_run": False,
            "prices": {"source": "generator", "start": {"BTC": 60000.5}, "seed": 7},
            "reporters": {"dev_mnemonic": 'a "quoted" one', "dev_indices": [1, 2]},
            "store": {"path": "here.sqlite"},
        },
        FILE,
    )
    assert config.parse(tomllib.loads(template.render(given)), FILE) == given


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"chain": {"chainid": 3}},
            "keeper.toml: chain.chainid = 3: unknown key; did you mean chain_id?",
        ),
        (
            {"chain": {"poll_ms": 0}},
            "keeper.toml: chain.poll_ms = 0: expected greater than or equal to 1",
        ),
        (
            {"prices": {"source": "tape"}},
            "keeper.toml: prices.source = 'tape': expected 'none', 'csv', 'generator' or 'push'",
        ),
        (
            {"prices": {"source": "csv"}},
            'keeper.toml: prices.path: expected with prices.source = "csv"',
        ),
        (
            {"prices": {"start": {"BTC": -1}}},
            "keeper.toml: prices.start.BTC = -1: expected greater than 0",
        ),
        (
            {"keys": {"keystore": "k.json"}},
            "keeper.toml: keys: expected password_file beside keystore",
        ),
        (
            {"dry_run": "perhaps"},
            "keeper.toml: dry_run = 'perhaps': expected a valid boolean, unable to interpret input",
        ),
    ],
)
def test_parse__wrong_value__names_file_key_value_and_expectation(
    values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(config.ConfigError) as refused:
        config.parse(values, FILE)
    assert str(refused.value) == sentence


def test_parse__several_faults__names_each() -> None:
    with pytest.raises(config.ConfigError) as refused:
        config.parse({"nope": 1, "gas": {"bump_percent": 5}}, FILE)
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize("section", ["keys", "reporters"])
def test_parse__mnemonic_on_a_real_chain__refused_without_showing_it(section: str) -> None:
    values = {"chain": {"chain_id": 1}, section: {"dev_mnemonic": "correct horse"}}
    with pytest.raises(config.ConfigError, match=f"{section}.dev_mnemonic: expected only") as no:
        config.parse(values, FILE)
    assert "horse" not in str(no.value)
    values["chain"] = {"chain_id": 31337}
    config.parse(values, FILE)


def test_parse__address_with_a_key_in_it__never_shown() -> None:
    with pytest.raises(config.ConfigError, match=r"chain\.url") as refused:
        config.parse({"chain": {"url": "ftp://node.example/secret-key"}}, FILE)
    assert "secret-key" not in str(refused.value)


def test_load__paths_count_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "keeper.toml"
    file.parent.mkdir()
    file.write_text('[store]\npath = "k.sqlite"\n[reporters]\nkeystores = ["a.json", "/b.json"]\n')
    loaded = config.load(file)
    assert loaded.store.path == file.parent / "k.sqlite"
    assert loaded.reporters.keystores == [file.parent / "a.json", Path("/b.json")]
    assert loaded.chain.addresses == file.parent / "build/addresses-devnet.json"


def test_load__missing_or_not_toml__says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="keeper init"):
        config.load(tmp_path / "keeper.toml")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(config.ConfigError, match=r"bad\.toml: not TOML: .*line 1"):
        config.load(tmp_path / "bad.toml")
