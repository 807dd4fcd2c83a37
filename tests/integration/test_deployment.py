"""Deployment on a real node: it can be repeated, notices what is wrong, and keeps no power."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from brownie import accounts, chain, project, reverts, web3

from scripts import deploy, price_paths, roles
from scripts.deploy import Book, DeploymentError

NETWORK = "test-deployment"
NONE = "0x" + "00" * 32
PRICES = {asset: about.start for asset, about in price_paths.ASSETS.items()}


def deployed() -> Book:
    (ballast,) = project.get_loaded_projects()
    return deploy.deploy(ballast, accounts, prices=PRICES, network=NETWORK)


def contract(book: Book, name: str) -> Any:
    return project.get_loaded_projects()[0][name].at(book.contracts[name])


@pytest.fixture(scope="module")
def book() -> Iterator[Book]:
    deploy.path_of(NETWORK).unlink(missing_ok=True)
    yield deployed()
    deploy.path_of(NETWORK).unlink()


def test_again__finds_everything_and_sends_nothing(book: Book) -> None:
    before = web3.eth.block_number
    assert deployed() == book
    assert web3.eth.block_number == before


def test_another_contract_in_the_book__named(book: Book) -> None:
    swapped = book.contracts | {"Vault": book.contracts["Orders"]}
    replace(book, contracts=swapped).write()
    with pytest.raises(DeploymentError, match=r"the code of Vault at .* remove the file"):
        deployed()
    book.write()


def test_contract_gone__named(book: Book) -> None:
    nowhere = book.contracts | {"Lens": str(accounts[9].address)}
    replace(book, contracts=nowhere).write()
    with pytest.raises(DeploymentError, match="not on the chain; remove it"):
        deployed()
    book.write()


def test_book_is_not_a_book__named(book: Book) -> None:
    deploy.path_of(NETWORK).write_text('{"chain_id": 1}')
    with pytest.raises(DeploymentError, match="not an address book"):
        deployed()
    book.write()


def test_book_of_another_chain__deployed_anew(book: Book) -> None:
    replace(book, chain_id=1).write()
    anew = deployed()
    assert set(anew.contracts) == set(book.contracts)
    assert not set(anew.contracts.values()) & set(book.contracts.values())
    book.write()


def test_deployer__has_no_power_left(book: Book) -> None:
    deployer = accounts[roles.DEPLOYER]
    with reverts("ownable: caller is not the owner"):
        contract(book, "Instruments").set_status(1, 1, {"from": deployer})
    with reverts("ownable: caller is not the owner"):
        contract(book, "OracleHub").add_reporter(deployer, 3, {"from": deployer})


def test_guardian__halts_without_waiting(book: Book) -> None:
    instruments = contract(book, "Instruments")
    with reverts("instruments: only guardian"):
        instruments.halt([2], {"from": accounts[roles.GOVERNOR]})
    instruments.halt([2], {"from": accounts[roles.GUARDIAN]})
    assert instruments.status(2) == 2
    chain.sleep(72 * 3_600)
    chain.mine()
    assert instruments.status(2) == 0


def test_steward__tightens_without_waiting_and_loosens_nothing(book: Book) -> None:
    governor, instruments = accounts[roles.GOVERNOR], contract(book, "Instruments")
    instruments.set_status(3, 1, {"from": governor})
    assert instruments.status(3) == 1
    with reverts("ownable: caller is not the owner"):
        instruments.set_status(3, 0, {"from": governor})


def test_governor__acts_through_the_timelock_and_waits(book: Book) -> None:
    governor = accounts[roles.GOVERNOR]
    timelock, instruments = contract(book, "Timelock"), contract(book, "Instruments")
    halt = instruments.set_status.encode_input(1, 2)
    call = (instruments.address, 0, halt, NONE, NONE)  # after no other, no salt
    delay = timelock.getMinDelay()
    with reverts("ownable: caller is not the owner"):
        instruments.set_status(1, 2, {"from": governor})
    timelock.schedule(*call, delay, {"from": governor})
    with pytest.raises(Exception, match="TimelockUnexpectedOperationState"):
        timelock.execute(*call, {"from": governor})
    chain.sleep(delay + 1)
    timelock.execute(*call, {"from": governor})
    halted = instruments.terms(1)[1] >> 248
    assert halted == 2
