"""Values in the domain of the protocol: what setters accept and what acts can reach."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import strategies as st

from keeper.core.terms import FillTerms, LimitTerms, RiskTerms, Terms, UnderlyingTerms
from keeper.core.types import FeedId
from keeper.core.units import WAD

prices = st.integers(10**12, 10**24)  # a millionth of a USD to a million USD
magnitudes = st.integers(1, 10**25)  # up to ten million units
sizes = magnitudes.flatmap(lambda size: st.sampled_from((size, -size)))
indices = st.integers(-(10**24), 10**24)
ppm = st.integers(0, 10**6)


def plain_terms(**changes: int) -> Terms:
    """A future with round figures: shock 15 %, factor 1.3, no add-ons, no fees."""
    figures = {
        "kind": 0,
        "underlying": 1,
        "strike_wad": 0,
        "period_seconds": 28_800,
        "oi_rate_ppm": 0,
        "reserve_milli": 0,
        "funding_cap_ppm_per_day": 0,
        "margin_class": 0,
        "depth_wad": 1_000_000 * WAD,
        "premium_max_ppm": 50_000,
        "maker_ppm": 0,
        "taker_ppm": 0,
        "gap_ppm_per_year": 0,
        "lapse_ppm": 0,
        "status": 0,
        "oi_cap_wad": 100_000 * WAD,
        "oi_cap_usd": 10**9,
        "min_notional_usd": 0,
        "lambda_ppm": 0,
        "penalty_ppm": 0,
        "liquidator_bps": 5_000,
        "fee_insurance_bps": 2_000,
        "fee_protocol_bps": 1_000,
        "feed": 1,
        "shock_ppm": 150_000,
        "factor_ppm": 1_300_000,
        "liquidity_usd": 10_000_000,
        "concentration_ppm": 20_000,
        "cluster": 0,
        "rho_ppm": 0,
    }
    unknown = set(changes) - set(figures)
    assert not unknown, f"no such figure: {unknown}"
    figures.update(changes)
    feed = FeedId(figures.pop("feed"))

    def of(kind: Any) -> dict[str, int]:
        return {one.name: figures[one.name] for one in fields(kind) if one.name in figures}

    return Terms(
        risk=RiskTerms(**of(RiskTerms)),
        fill=FillTerms(**of(FillTerms)),
        limit=LimitTerms(**of(LimitTerms)),
        underlying=UnderlyingTerms(feed=feed, **of(UnderlyingTerms)),
    )


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    """Any terms that the setters could have accepted."""
    taker = draw(st.integers(1, 5_000))
    cost = {
        "penalty_ppm": draw(st.integers(0, 50_000)),
        "lambda_ppm": draw(st.integers(0, 20_000)),
        "taker_ppm": taker,
    }
    shock = draw(st.integers(max(1_000, sum(cost.values()) + 1), 500_000))
    least_factor = 10**6 + -(-sum(cost.values()) * 10**6 // shock)
    insurance_bps = draw(st.integers(0, 10_000))
    return plain_terms(
        **cost,
        shock_ppm=shock,
        factor_ppm=draw(st.integers(least_factor + 1, least_factor + 10**6)),
        maker_ppm=draw(st.integers(0, taker)),
        period_seconds=draw(st.integers(3_600, 7 * 86_400)),
        reserve_milli=draw(st.integers(0, 10**5)),
        funding_cap_ppm_per_day=draw(st.integers(0, 100_000)),
        oi_rate_ppm=draw(st.integers(0, 200_000)),
        gap_ppm_per_year=draw(st.integers(0, 500_000)),
        lapse_ppm=draw(st.integers(0, 10_000)),
        depth_wad=draw(st.integers(10**3, 10**9)) * WAD,
        min_notional_usd=draw(st.integers(0, 1_000)),
        liquidator_bps=draw(st.integers(0, 10_000)),
        fee_insurance_bps=insurance_bps,
        fee_protocol_bps=draw(st.integers(0, 10_000 - insurance_bps)),
        liquidity_usd=draw(st.integers(10**3, 10**9)),
        concentration_ppm=draw(st.integers(0, 500_000)),
    )
