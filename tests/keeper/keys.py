"""Keys of the development chain's accounts."""

from __future__ import annotations

from keeper.config import KeySettings
from keeper.edges import signer as signing
from keeper.edges.signer import Signer
from scripts import nodes


def key_at(index: int) -> Signer:
    found = signing.sender(KeySettings(dev_mnemonic=nodes.MNEMONIC, dev_index=index))
    assert found is not None
    return found
