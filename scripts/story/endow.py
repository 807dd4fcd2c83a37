"""Who brings the first money: to the pool, to insurance, to the keeper."""

from __future__ import annotations

from scripts import roles
from scripts.parameters import Parameters
from scripts.parameters.units import native
from scripts.story.stage import Stage

PROVIDERS_USD = (2_000_000, 1_200_000, 800_000)
INSURANCE_USD = 100_000
KEEPER_USD = 250_000  # of its own, to buy the collateral of debtors with


def keeper(stage: Stage, terms: Parameters) -> None:
    """Before it runs: its nonce is its own from then on."""
    amount = native(KEEPER_USD, terms.settlement.decimals)
    stage.mint(terms.settlement.symbol, stage.wallet(roles.KEEPER), amount, ["Clearinghouse"])


def ask(stage: Stage, terms: Parameters) -> None:
    """A gift to insurance, and the providers' requests to enter the pool."""
    settlement, patron = terms.settlement, stage.wallet(roles.DEPLOYER)
    gift = native(INSURANCE_USD, settlement.decimals)
    stage.mint(settlement.symbol, patron, gift, ["Clearinghouse"])
    stage.send("", "Clearinghouse", "fund_insurance", (gift,), patron)
    for place, usd in zip(roles.PROVIDERS, PROVIDERS_USD, strict=True):
        provider, amount = stage.wallet(place), native(usd, settlement.decimals)
        stage.mint(settlement.symbol, provider, amount, ["LiquidityPool"])
        arguments = (amount, provider, provider, 0)
        stage.send("pool_request", "LiquidityPool", "requestDeposit", arguments, provider)


def claim(stage: Stage) -> None:
    """The providers' shares, once somebody has executed the requests."""
    for place in roles.PROVIDERS:
        provider = stage.wallet(place)
        ready = stage.contracts["LiquidityPool"].maxDeposit(provider)
        stage.send("", "LiquidityPool", "deposit", (ready, provider, provider), provider)
