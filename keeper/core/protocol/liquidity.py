"""Shares of the pool: requests, executions, claims (SPEC 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keeper.core.protocol import clearing, debts, markets
from keeper.core.protocol.clearing import wad_of
from keeper.core.protocol.state import (
    CLEARINGHOUSE,
    POOL,
    SETTLEMENT,
    Claim,
    Request,
    Side,
    State,
)
from keeper.core.types import AccountId, Address, Level, require
from keeper.core.units import WAD, ceil_div, ppm_ceil

VIRTUAL = 10**3  # shares, and WAD quote, that nobody owns: the first share costs 1
MAX_AMOUNT = (1 << 96) - 1
MAX_MARKS = 8  # accounts whose shortfalls one execution looks at
DUST = WAD  # collateral below it is not worth a sale
PROMPT_SHARE = 8  # of a window: what comes back of an execution in its first eighth pays no fee


# ---------------------------------------------------------------- requests


def request_deposit(
    state: State,
    caller: Address,
    assets: int,
    controller: Address,
    owner: Address,
    min_shares: int,
) -> None:
    """Ask to enter: native assets of the owner wait until the request is executed."""
    require(_acts_for(state, caller, owner), "pool: not the owner")
    _schedule(state, caller, Side.ENTRY, controller, assets, min_shares)
    state.escrow += assets
    state.send(SETTLEMENT, owner, POOL, assets)


def request_redeem(
    state: State,
    caller: Address,
    shares: int,
    controller: Address,
    owner: Address,
    min_assets: int,
) -> None:
    """Ask to leave: shares of the owner wait until the request is executed."""
    allowed = _acts_for(state, caller, owner) or shares == 0
    require(allowed, "erc20: insufficient allowance")
    _schedule(state, caller, Side.EXIT, controller, shares, min_assets)
    transfer(state, owner, POOL, shares)


def set_operator(state: State, caller: Address, operator: Address, approved: bool) -> None:
    """Let another address make and claim requests for the caller."""
    state.operators[caller, operator] = approved


def transfer(state: State, source: Address, target: Address, shares: int) -> None:
    """Move shares."""
    require(state.shares[source] >= shares, "erc20: transfer amount exceeds balance")
    state.shares[source] -= shares
    state.shares[target] += shares


def _schedule(
    state: State, caller: Address, side: Side, controller: Address, amount: int, min_out: int
) -> None:
    parameters = state.parameters
    require(_acts_for(state, caller, controller), "pool: not the controller")
    require(amount > 0, "pool: amount is zero")
    require(amount <= MAX_AMOUNT and min_out <= MAX_AMOUNT, "pool: amount too large")
    require(state.requests[side, controller].amount == 0, "pool: request pending")
    due = state.now + parameters.request_delay_seconds
    deadline = due + parameters.request_window_seconds
    state.requests[side, controller] = Request(due, deadline, amount, min_out)


# ---------------------------------------------------------------- anyone's upkeep


def execute(state: State, entries: Sequence[Address], exits: Sequence[Address]) -> tuple[int, int]:
    """Execute due requests at the NAV of now; (assets taken in, assets set aside), native.

    Entries first, then exits as far as idle tokens and the pool's requirement allow; what does
    not fit comes back (SPEC 9.3, 9.5).
    """
    pending = [(Side.ENTRY, one) for one in entries] + [(Side.EXIT, one) for one in exits]
    since = max((_due(state, state.requests[one]) for one in pending), default=0)
    require(since != 0, "pool: no request is due")
    debts.accrue(state)
    markets.mark_all(state, since)
    for account in state.marked:
        _mark(state, account, shortfall(state, account, Level.ANY))
    worth = nav(state)
    taken = fees = 0
    for controller in entries:
        assets, fee = _enter(state, controller, worth)
        taken += assets
        fees += fee
        worth += wad_of(state, assets)
    _fund(state, taken + fees)
    room = _room(state, worth)
    released = 0
    for controller in exits:
        assets = _leave(state, controller, worth, room)
        released += assets
        worth -= wad_of(state, assets)
        room -= wad_of(state, assets)
    if released:
        state.escrow += released
        markets.change_lines(state, pool=-wad_of(state, released))
        require(state.lines.pool >= 0, "pool: not enough idle")
        state.send(SETTLEMENT, CLEARINGHOUSE, POOL, released)
    return taken, released


def lapse(state: State, entries: Sequence[Address], exits: Sequence[Address]) -> int:
    """Return requests that nobody executed in time, less the exit fee; the entries' fees."""
    fee_ppm = state.parameters.exit_fee_ppm
    fees = 0
    for controller in entries:
        request = state.requests[Side.ENTRY, controller]
        if request.amount and state.now > request.deadline:
            fees += _return_entry(state, controller, request, fee_ppm)
    _fund(state, fees)
    for controller in exits:
        request = state.requests[Side.EXIT, controller]
        if request.amount and state.now > request.deadline:
            _return_exit(state, controller, request, fee_ppm)
    return fees


def mark(state: State, account: AccountId) -> int:
    """Take what an account cannot pay out of the worth of shares, or back in; its shortfall."""
    amount = shortfall(state, account, Level.FRESH)
    _mark(state, account, amount)
    return amount


def shortfall(state: State, account: AccountId, level: Level) -> int:
    """What an account is short of, WAD (SPEC 9.6)."""
    assessed = clearing.assess(state, account, level)
    backing, _ = clearing.collateral_value(state, account, clearing.stored_prices(state, level))
    if not state.accounts[account].book and backing < DUST:
        return 0
    return max(0, -assessed.equity - backing)


def nav(state: State) -> int:
    """NAV as of each last accrual with the interest due, less the shortfalls marked, WAD."""
    return (
        state.lines.nav
        + debts.due(state)
        - sum(state.shortfalls[account] for account in state.marked)
    )


def _mark(state: State, account: AccountId, amount: int) -> None:
    """Put an account on the list, change what it is short of, or (0) take it off; a full list
    gives up its smallest for a larger one."""
    if not state.shortfalls[account] and amount:
        if len(state.marked) == MAX_MARKS:
            smallest = min(state.marked, key=state.shortfalls.__getitem__)
            require(state.shortfalls[smallest] < amount, "pool: marks are full")
            _unmark(state, smallest)
        state.marked = (*state.marked, account)
    if amount:
        state.shortfalls[account] = amount
    elif state.shortfalls[account]:
        _unmark(state, account)


def _unmark(state: State, account: AccountId) -> None:
    """The last of the list takes the place of the one that leaves it."""
    last = state.marked[-1]
    state.marked = tuple(last if one == account else one for one in state.marked[:-1])
    del state.shortfalls[account]


def _enter(state: State, controller: Address, nav: int) -> tuple[int, int]:
    """Execute an entry, or return it when it misses its minimum; (assets taken, fee), native."""
    request = state.requests[Side.ENTRY, controller]
    if not _due(state, request):
        return 0, 0
    shares = shares_for(state, wad_of(state, request.amount), nav)
    # nobody enters a pool that owes, or one whose shares have all but lost their price
    if nav < 0 or not 0 < shares <= MAX_AMOUNT or shares < request.min_out:
        return 0, _return_entry(state, controller, request, _late_ppm(state, request))
    del state.requests[Side.ENTRY, controller]
    _add_claim(state, Side.ENTRY, controller, request.amount, shares)
    state.shares[POOL] += shares
    state.supply += shares
    return request.amount, 0


def _leave(state: State, controller: Address, nav: int, room: int) -> int:
    """Execute an exit as far as `room` (WAD) goes and return the rest; assets set aside, native."""
    request = state.requests[Side.EXIT, controller]
    if not _due(state, request):
        return 0
    shares, assets = _served(state, request.amount, nav, room)
    part = ceil_div(request.min_out * shares, request.amount)
    late_ppm = _late_ppm(state, request)
    if shares and assets < max(1, part):
        _return_exit(state, controller, request, late_ppm)
        return 0
    if shares:
        del state.requests[Side.EXIT, controller]
        _add_claim(state, Side.EXIT, controller, shares, assets)
        _burn(state, shares)
    if shares != request.amount:
        rest = replace(request, amount=request.amount - shares)
        _return_exit(state, controller, rest, late_ppm)
    return assets


def _served(state: State, shares: int, nav: int, room: int) -> tuple[int, int]:
    """(shares, native assets for them) that the room allows; (0, 0) when it is no native unit."""
    scale = state.parameters.scale
    worth = value_of(state, shares, nav)
    if worth <= room:
        return shares, worth // scale
    served = room * (state.supply + VIRTUAL) // (max(nav, 0) + VIRTUAL)
    assets = value_of(state, served, nav) // scale
    return (served, assets) if assets else (0, 0)


def _room(state: State, nav: int) -> int:
    """WAD that may leave: idle tokens not lent to accounts, and NAV above its bound (SPEC 9.3)."""
    kept = ppm_ceil(state.lines.requirement, state.parameters.exit_factor_ppm)
    return max(min(state.lines.pool - state.total_debt, nav - kept), 0)


def _late_ppm(state: State, request: Request) -> int:
    """The fee on what comes back of an execution now: none while it is prompt (SPEC 9.5)."""
    prompt = (request.deadline - request.due) // PROMPT_SHARE
    return 0 if state.now <= request.due + prompt else state.parameters.exit_fee_ppm


def _return_entry(state: State, controller: Address, request: Request, fee_ppm: int) -> int:
    """Give an entry back; the fee that is kept of it, native."""
    fee = ppm_ceil(request.amount, fee_ppm)
    del state.requests[Side.ENTRY, controller]
    state.returned[controller] += request.amount - fee
    return fee


def _return_exit(state: State, controller: Address, request: Request, fee_ppm: int) -> None:
    """Give shares back; the fee that is kept of them is burned."""
    fee = ppm_ceil(request.amount, fee_ppm)
    del state.requests[Side.EXIT, controller]
    _burn(state, fee)
    transfer(state, POOL, controller, request.amount - fee)


def _fund(state: State, assets: int) -> None:
    """Send native assets that waited here to the pool line."""
    if assets:
        state.escrow -= assets
        state.send(SETTLEMENT, POOL, CLEARINGHOUSE, assets)
        markets.change_lines(state, pool=wad_of(state, assets))


def _burn(state: State, shares: int) -> None:
    state.shares[POOL] -= shares
    state.supply -= shares


# ---------------------------------------------------------------- claims


def claim(state: State, caller: Address, side: Side, amount: int, controller: Address) -> int:
    """Use up `amount` of what was executed; what comes out for it, rounded down."""
    claimable = _claimable(state, caller, side, controller, amount, by_out=False)
    out = claimable.out * amount // claimable.amount
    _use(state, side, controller, claimable, amount, out)
    return out


def claim_out(state: State, caller: Address, side: Side, out: int, controller: Address) -> int:
    """Take `out` of what was executed; the amount that it uses up, rounded up."""
    claimable = _claimable(state, caller, side, controller, out, by_out=True)
    amount = ceil_div(claimable.amount * out, claimable.out)
    _use(state, side, controller, claimable, amount, out)
    return amount


def deposit(
    state: State, caller: Address, assets: int, receiver: Address, controller: Address
) -> int:
    """Claim the shares of an executed entry, by its assets."""
    shares = claim(state, caller, Side.ENTRY, assets, controller)
    transfer(state, POOL, receiver, shares)
    return shares


def mint(state: State, caller: Address, shares: int, receiver: Address, controller: Address) -> int:
    """Claim a number of shares of an executed entry."""
    assets = claim_out(state, caller, Side.ENTRY, shares, controller)
    transfer(state, POOL, receiver, shares)
    return assets


def redeem(
    state: State, caller: Address, shares: int, receiver: Address, controller: Address
) -> int:
    """Claim the assets of an executed exit, by its shares."""
    assets = claim(state, caller, Side.EXIT, shares, controller)
    _pay(state, receiver, assets)
    return assets


def withdraw(
    state: State, caller: Address, assets: int, receiver: Address, controller: Address
) -> int:
    """Claim an amount of assets of an executed exit."""
    shares = claim_out(state, caller, Side.EXIT, assets, controller)
    _pay(state, receiver, assets)
    return shares


def claim_returned(state: State, caller: Address, receiver: Address, controller: Address) -> int:
    """Take back what entries that lapsed or missed their minimum left."""
    require(_acts_for(state, caller, controller), "pool: not the controller")
    assets = state.returned[controller]
    require(assets > 0, "pool: amount is zero")
    state.returned[controller] = 0
    _pay(state, receiver, assets)
    return assets


def _claimable(
    state: State, caller: Address, side: Side, controller: Address, asked: int, by_out: bool
) -> Claim:
    found = state.claims[side, controller]
    require(_acts_for(state, caller, controller), "pool: not the controller")
    require(asked > 0, "pool: amount is zero")
    require(asked <= (found.out if by_out else found.amount), "pool: more than claimable")
    return found


def _use(
    state: State, side: Side, controller: Address, before: Claim, amount: int, out: int
) -> None:
    state.claims[side, controller] = Claim(before.amount - amount, before.out - out)


def _add_claim(state: State, side: Side, controller: Address, amount: int, out: int) -> None:
    before = state.claims[side, controller]
    state.claims[side, controller] = Claim(before.amount + amount, before.out + out)


def _pay(state: State, receiver: Address, assets: int) -> None:
    state.escrow -= assets
    state.send(SETTLEMENT, POOL, receiver, assets)


# ---------------------------------------------------------------- arithmetic


def shares_for(state: State, assets_wad: int, nav: int) -> int:
    """Shares for assets, rounded down (SPEC 9.2)."""
    return assets_wad * (state.supply + VIRTUAL) // (max(nav, 0) + VIRTUAL)


def value_of(state: State, shares: int, nav: int) -> int:
    """WAD that shares are worth, rounded down (SPEC 9.2)."""
    return shares * (max(nav, 0) + VIRTUAL) // (state.supply + VIRTUAL)


def _due(state: State, request: Request) -> int:
    """The due time of a request that can be executed now, else 0."""
    executable = request.amount and request.due <= state.now <= request.deadline
    return request.due if executable else 0


def _acts_for(state: State, caller: Address, principal: Address) -> bool:
    return caller == principal or state.operators[principal, caller]
