"""Keys: a keystore with a password file, or on a devnet an account of a mnemonic.

A key lives inside its `Signer` and nothing prints it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from eth_utils.exceptions import ValidationError

from keeper.config import KeySettings, ReporterSettings

_DEV_PATH = "m/44'/60'/0'/0/{}"


class SignerError(Exception):
    """A key that cannot be had; the text says which setting or file, never the key."""


class Signer:
    """One account that signs."""

    __slots__ = ("_account", "address")

    def __init__(self, account: LocalAccount) -> None:
        self._account = account
        self.address = bytes.fromhex(account.address[2:])

    def __repr__(self) -> str:
        return f"Signer({self.name})"

    @property
    def name(self) -> str:
        """The address as wallets show it."""
        return str(self._account.address)

    def transaction(self, fields: dict[str, Any]) -> tuple[bytes, bytes]:
        """Sign an EIP-1559 transaction: (hash, raw bytes)."""
        signed = self._account.sign_transaction({**fields, "type": 2})
        return bytes(signed.hash), bytes(signed.raw_transaction)

    def digest(self, digest: bytes) -> tuple[int, int, int]:
        """Sign a 32-byte digest: (v 27 or 28, r, s in the lower half)."""
        signature = self._account.unsafe_sign_hash(Hash32(digest))
        return int(signature.v), int(signature.r), int(signature.s)


def sender(keys: KeySettings) -> Signer | None:
    """The account that sends, or None when the configuration names none."""
    if keys.dev_mnemonic is not None:
        return _from_mnemonic(keys.dev_mnemonic, keys.dev_index, "keys.dev_mnemonic")
    if keys.keystore is not None and keys.password_file is not None:
        return _from_keystore(keys.keystore, keys.password_file)
    return None


def reporters(settings: ReporterSettings) -> list[Signer]:
    """The reporters whose keys this keeper holds, in ascending order of address."""
    signers = []
    if settings.dev_mnemonic is not None:
        name = "reporters.dev_mnemonic"
        signers += [_from_mnemonic(settings.dev_mnemonic, i, name) for i in settings.dev_indices]
    for keystore in settings.keystores:
        if settings.password_file is None:
            raise SignerError("reporters.password_file: expected beside reporters.keystores")
        signers.append(_from_keystore(keystore, settings.password_file))
    return sorted(signers, key=lambda signer: signer.address)


def _from_mnemonic(mnemonic: str, index: int, name: str) -> Signer:
    Account.enable_unaudited_hdwallet_features()
    try:
        return Signer(Account.from_mnemonic(mnemonic, account_path=_DEV_PATH.format(index)))
    except (ValidationError, ValueError):
        raise SignerError(f"{name}: expected a BIP-39 mnemonic") from None


def _from_keystore(keystore: Path, password_file: Path) -> Signer:
    password = _read(password_file, "password file").rstrip("\r\n")
    try:
        content = json.loads(_read(keystore, "keystore"))
        return Signer(Account.from_key(Account.decrypt(content, password)))
    except (ValueError, KeyError, TypeError):
        raise SignerError(
            f"{keystore}: not a keystore v3, or the password in {password_file} is not its own"
        ) from None


def _read(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SignerError(f"{file}: {what} cannot be read: {error}") from None
