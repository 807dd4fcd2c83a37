"""What margin and pricing are at, on the way to where they go (SPEC 12.4, 12.7, 12.8).

A ramp runs from where it last began towards its goal, and who reads it asks for a moment: upwards
in a straight line, downwards so that it never loses more of itself than its rate. Rates are
logarithms, so that however often a ramp begins anew it compounds to no more than is promised.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.core.units import DAY, PPM, ceil_div, floor_div
from keeper.core.words import Layout

# ppm a day: 24·ln 1.2, −ln 0.95, 24·ln 1.01, −24·ln 0.99
SHOCK_RISE, SHOCK_FALL = 24 * 182_321, 51_293
SIGMA_RISE, SIGMA_FALL = 24 * 9_950, 24 * 10_050
DEAD_BAND = 10  # a new goal must be more than a tenth away from the old
STRIDE = 3_600  # seconds after which a ramp begins anew with the next sample, its goal unchanged

RAMP = Layout(
    shock_from=24,
    shock_to=24,
    shock_since=40,
    surge_ppm=24,
    sigma_from=24,
    sigma_to=24,
    sigma_since=40,
)


def toward(start: int, goal: int, elapsed: int, rise: int, fall: int) -> int:
    """Where a ramp is after `elapsed` seconds; rates in ppm a day; it is never ahead of them."""
    day = PPM * DAY
    if goal >= start:
        return min(goal, floor_div(start * (day + elapsed * rise), day))
    return max(goal, ceil_div(start * day, day + elapsed * fall))


@dataclass(frozen=True, slots=True)
class Ramp:
    """The moving figures of an underlying: shocks and volatilities in ppm, times unix seconds."""

    shock_from: int
    shock_to: int  # where samples send the shock; 0 before the first
    shock_since: int
    surge_ppm: int = 0  # by how much congestion raises the initial shock
    sigma_from: int = 0
    sigma_to: int = 0
    sigma_since: int = 0

    def target(self, floor_ppm: int) -> int:
        """Where the shock goes: never below what the governor set as the least."""
        return max(floor_ppm, self.shock_to)

    def shock(self, floor_ppm: int, now: int) -> int:
        """s, what maintenance takes."""
        elapsed = now - self.shock_since
        return toward(self.shock_from, self.target(floor_ppm), elapsed, SHOCK_RISE, SHOCK_FALL)

    def initial_shock(self, floor_ppm: int, now: int) -> int:
        """What new risk takes: the larger of shock and target, and congestion; rounded up."""
        larger = max(self.shock(floor_ppm, now), self.target(floor_ppm))
        return ceil_div(larger * (PPM + self.surge_ppm), PPM)

    def sigma(self, now: int) -> int:
        """σ_p, what options are priced at."""
        elapsed = now - self.sigma_since
        return toward(self.sigma_from, self.sigma_to, elapsed, SIGMA_RISE, SIGMA_FALL)

    def sampled(self, floor_ppm: int, shock: int, surge_ppm: int, sigma: int, now: int) -> Ramp:
        """The ramp after a sample: it may have another goal, and never another place."""
        begun, goal, since = self.shock_from, self.shock_to, self.shock_since
        left = abs(shock - goal) * DEAD_BAND > goal
        if left or now - since >= STRIDE:
            begun, since = self.shock(floor_ppm, now), now
        if left:
            goal = shock
        sigma_from = self.sigma(now) if self.sigma_from else sigma
        return Ramp(begun, goal, since, surge_ppm, sigma_from, sigma, now)

    def refloored(self, floor_ppm: int, now: int) -> Ramp:
        """The ramp when the governor changes the least shock from `floor_ppm`."""
        return Ramp(
            self.shock(floor_ppm, now),
            self.shock_to,
            now,
            self.surge_ppm,
            self.sigma_from,
            self.sigma_to,
            self.sigma_since,
        )
