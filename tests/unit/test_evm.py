"""The in-process chain does what a chain does; shown with the token of the development chains."""

from __future__ import annotations

import pytest

from scripts import build
from tests.support.evm import Contract, Evm, Revert


@pytest.fixture
def evm() -> Evm:
    return Evm()


@pytest.fixture
def token(evm: Evm) -> Contract:
    artifact = build.artifact("TestToken", "cancun")
    return evm.deploy(artifact, "Dollar", "USD", 6, sender=evm.account("governor"))


def test_deploy__constructor_arguments_reach_the_contract(evm: Evm, token: Contract) -> None:
    assert (token.name(), token.symbol(), token.decimals()) == ("Dollar", "USD", 6)
    assert len(evm.code(token.address)) == build.artifact("TestToken", "cancun").size


def test_transaction__changes_state_and_leaves_its_event(evm: Evm, token: Contract) -> None:
    maker, trader = evm.account("maker"), evm.account("trader")
    assert token.mint(maker, 7_000_000, sender=maker) is None
    assert token.transfer(trader, 2_500_000, sender=maker) is True
    assert token.balanceOf(maker) == 4_500_000
    assert token.balanceOf(trader) == 2_500_000
    assert token.totalSupply() == 7_000_000
    (transfer,) = evm.events("Transfer")  # views in between do not hide it
    assert transfer.address == token.address
    assert tuple(transfer.args) == (maker, trader, 2_500_000)


def test_revert__gives_the_reason_and_changes_nothing(evm: Evm, token: Contract) -> None:
    trader = evm.account("trader")
    token.mint(trader, 5, sender=trader)
    with pytest.raises(Revert, match=rf"^ERC20InsufficientBalance\({trader}, 5, 6\)$"):
        token.transfer(evm.account("maker"), 6, sender=trader)
    assert evm.events() == []
    assert token.balanceOf(trader) == 5


def test_simulate__answers_without_a_trace(evm: Evm, token: Contract) -> None:
    trader = evm.account("trader")
    token.mint(trader, 5, sender=trader)
    assert token.transfer.simulate(evm.account("maker"), 5, sender=trader) is True
    assert token.balanceOf(trader) == 5


def test_arguments__wrong_count_sender_or_range_are_named(evm: Evm, token: Contract) -> None:
    trader = evm.account("trader")
    with pytest.raises(TypeError, match="mint takes 2 arguments, got 1"):
        token.mint(trader, sender=trader)
    with pytest.raises(TypeError, match="name its sender"):
        token.mint(trader, 5)
    with pytest.raises(OverflowError):
        token.mint(trader, -5, sender=trader)
    with pytest.raises(AttributeError, match="'burn'"):
        token.burn(5)


def test_time__moves_when_told_and_returns_with_a_snapshot(evm: Evm, token: Contract) -> None:
    start, block = evm.timestamp, evm.block_number
    evm.warp(3600)
    assert (evm.timestamp, evm.block_number) == (start + 3600, block + 1)
    trader = evm.account("trader")
    with evm.trial():
        evm.warp(60)
        token.mint(trader, 5, sender=trader)
        assert token.balanceOf(trader) == 5
    assert token.balanceOf(trader) == 0
    assert evm.timestamp == start + 3600


def test_compact__carries_every_balance_word_and_code(evm: Evm, token: Contract) -> None:
    names = [evm.account(f"holder {i}") for i in range(50)]
    for amount, holder in enumerate(names):
        token.mint(holder, amount, sender=holder)
    evm.compact()
    token.transfer(names[0], 9, sender=names[9])
    evm.warp(60)
    evm.compact()
    expected = [9, *range(1, 9), 0, *range(10, 50)]
    assert [token.balanceOf(holder) for holder in names] == expected
    assert token.totalSupply() == sum(range(50))
    assert (token.name(), token.decimals()) == ("Dollar", 6)
    assert evm.balance(names[3]) == 10**24
    other = evm.deploy(
        build.artifact("TestToken", "cancun"), "Ether", "WETH", 18, sender=evm.account("governor")
    )
    assert other.address != token.address  # the deployer's nonce came along


def test_compact__refuses_under_an_open_snapshot(evm: Evm) -> None:
    with evm.trial(), pytest.raises(RuntimeError, match="snapshot is open"):
        evm.compact()
