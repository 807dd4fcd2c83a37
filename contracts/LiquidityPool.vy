# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title LiquidityPool
@notice Shares of the pool that takes the other side of every trade. Who wants in or out asks
        first; after a delay anyone executes the request, at prices of a later moment, so that
        nobody enters or leaves at a price already known. Executed requests are then claimed.
@dev ERC-20 shares with ERC-7540 requests both ways, request id 0: one pending request for each
     controller and direction; what was executed adds up until it is claimed. The pool's money
     is a line of the Clearinghouse's ledger: this contract holds only what is on its way in or
     out, counts it itself, and never asks for a balance. It trusts the Clearinghouse.
@custom:units assets in native units of the settlement token; NAV and requirement WAD; shares
              18 decimals; times unix seconds; ppm = 10^-6
@custom:signs NAV < 0: the pool owes more than it has
@custom:rounding shares and assets handed out down, what is taken for them up
@custom:halt none: executions need fresh prices of what has open interest, claims need nothing
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from snekmate.auth import ownable
from snekmate.tokens import erc20

from contracts.interfaces import IClearinghouse
from contracts.interfaces import IDebts
from contracts.interfaces import ILiquidityPool
from contracts.interfaces import IMarkets
from contracts.modules import requests
from contracts.modules import shortfalls
from contracts.modules import words

initializes: ownable
initializes: requests
initializes: shortfalls
initializes: erc20[ownable := ownable]

exports: (ownable.owner, ownable.transfer_ownership)
exports: (
    erc20.name,
    erc20.symbol,
    erc20.decimals,
    erc20.totalSupply,
    erc20.balanceOf,
    erc20.allowance,
    erc20.transfer,
    erc20.transferFrom,
    erc20.approve,
    erc20.permit,
    erc20.nonces,
    erc20.DOMAIN_SEPARATOR,
    erc20.eip712Domain,
)
exports: requests.__interface__
exports: shortfalls.__interface__

PPM: constant(uint256) = 10**6
DUST: constant(uint256) = 10**18      # WAD: collateral below it is not worth a sale
LEVEL_ANY: constant(uint256) = 0
LEVEL_FRESH: constant(uint256) = 2
VIRTUAL: constant(uint256) = 10**3    # shares and WAD quote that nobody owns: price 1 at first
MAX_BATCH: constant(uint256) = requests.MAX_BATCH
ENTRY: constant(uint256) = requests.ENTRY
EXIT: constant(uint256) = requests.EXIT

BELOW_MINIMUM: constant(uint256) = 1
LAPSED: constant(uint256) = 2
NO_ROOM: constant(uint256) = 3

MIN_DELAY: constant(uint256) = 10
MAX_DELAY: constant(uint256) = 7 * 86_400
MIN_WINDOW: constant(uint256) = 60
MAX_WINDOW: constant(uint256) = 30 * 86_400
MAX_EXIT_FEE_PPM: constant(uint256) = 50_000       # 5 %
MIN_EXIT_FACTOR_PPM: constant(uint256) = 10**6     # NAV must cover the requirement
MAX_EXIT_FACTOR_PPM: constant(uint256) = 10**7

SETTLEMENT_TOKEN: immutable(IERC20)
SCALE: immutable(uint256)             # WAD of one native unit
CLEARINGHOUSE: public(immutable(IClearinghouse))
MARKETS: public(immutable(IMarkets))
DEBTS: public(immutable(IDebts))

struct Policy:
    delay_seconds: uint256     # from request to due
    window_seconds: uint256    # from due to the last moment of an execution
    exit_factor_ppm: uint256   # NAV after an exit, over the pool's requirement
    exit_fee_ppm: uint256      # of what comes back late, kept by the pool


returned: public(reentrant(HashMap[address, uint256]))   # native, of entries sent back
_desk: uint256   # delay 32 | window 32 | factor 32 | fee 32 | escrow 128: one slot of every request


@deploy
def __init__(
    owner: address,
    settlement_token: IERC20,
    clearinghouse: IClearinghouse,
    markets: IMarkets,
    debts: IDebts,
):
    """
    @notice Requests work once set_timing was called.
    """
    ownable.__init__()
    erc20.__init__("Ballast Liquidity", "BLP", 18, "Ballast Liquidity", "1")
    ownable._transfer_ownership(owner)
    SETTLEMENT_TOKEN = settlement_token
    SCALE = 10 ** (
        18 - convert(staticcall IERC20Detailed(settlement_token.address).decimals(), uint256)
    )
    CLEARINGHOUSE = clearinghouse
    MARKETS = markets
    DEBTS = debts
    self._desk = MIN_EXIT_FACTOR_PPM << 64


# ---------------------------------------------------------------- requests


@external
def requestDeposit(
    assets: uint256, controller: address, owner: address, min_shares: uint256 = 0
) -> uint256:
    """
    @notice Ask to enter: the assets wait here until the request is executed.
    @param assets native, taken from the owner
    @param controller who may claim the shares; the caller or who made the caller an operator
    @param owner the caller or who made the caller an operator
    @param min_shares with less the assets are returned in full
    @return request id, always 0
    @custom:reverts pool: not the owner; pool: not the controller; pool: amount is zero;
                    pool: amount too large; pool: request pending; pool: no delay set;
                    pool: transfer failed
    """
    assert requests._acts_for(owner), "pool: not the owner"
    self._schedule(ENTRY, controller, assets, min_shares)
    self._desk += assets << 128
    log ILiquidityPool.DepositRequest(
        controller=controller,
        owner=owner,
        requestId=requests.REQUEST_ID,
        sender=msg.sender,
        assets=assets,
    )
    assert extcall SETTLEMENT_TOKEN.transferFrom(
        owner, self, assets, default_return_value=True
    ), "pool: transfer failed"
    return requests.REQUEST_ID


@external
def requestRedeem(
    shares: uint256, controller: address, owner: address, min_assets: uint256 = 0
) -> uint256:
    """
    @notice Ask to leave: the shares wait here until the request is executed.
    @param shares taken from the owner, who is the caller, made the caller an operator or
           allowed it to move the shares
    @param controller who may claim the assets; the caller or who made the caller an operator
    @param min_assets native; with less for all shares they are returned in full
    @return request id, always 0
    @custom:reverts pool: not the controller; pool: amount is zero; pool: amount too large;
                    pool: request pending; pool: no delay set; erc20: ...
    """
    if not requests._acts_for(owner):
        erc20._spend_allowance(owner, msg.sender, shares)
    self._schedule(EXIT, controller, shares, min_assets)
    erc20._transfer(owner, self, shares)
    log ILiquidityPool.RedeemRequest(
        controller=controller,
        owner=owner,
        requestId=requests.REQUEST_ID,
        sender=msg.sender,
        shares=shares,
    )
    return requests.REQUEST_ID


# ---------------------------------------------------------------- anyone's upkeep


@external
def execute(
    entries: DynArray[address, MAX_BATCH], exits: DynArray[address, MAX_BATCH]
) -> (uint256, uint256):
    """
    @notice Execute due requests at the NAV of now: entries first, then exits as far as the
            pool's idle tokens and its requirement allow. It ends each of them: what does not
            fit comes back, less the exit fee when the execution was late. Requests that are not
            due, or lapsed, are left as they are.
    @dev NAV and supply advance with each request, so that the order changes rounding only.
         Fees of entries that come back reach the pool line, and NAV, after all are executed.
    @param entries controllers of entries
    @param exits controllers of exits
    @return (assets taken in, assets set aside for exits), native
    @custom:reverts pool: no request is due; market: price before request; oracle: ...
    """
    since: uint256 = max(requests._latest_due(ENTRY, entries), requests._latest_due(EXIT, exits))
    assert since != 0, "pool: no request is due"
    nav: int256 = 0
    requirement: uint256 = 0
    nav, requirement = extcall CLEARINGHOUSE.mark_all(since)
    marked: DynArray[bytes32, shortfalls.MAX_MARKS] = shortfalls._accounts
    for account: bytes32 in marked:
        shortfalls._mark(account, self._shortfall(account, LEVEL_ANY))
    nav -= convert(shortfalls.marked, int256)

    fee_ppm: uint256 = self._load_policy().exit_fee_ppm
    taken: uint256 = 0
    fees: uint256 = 0
    for controller: address in entries:
        assets: uint256 = 0
        fee: uint256 = 0
        assets, fee = self._enter(controller, nav, fee_ppm)
        taken += assets
        fees += fee
        nav += convert(assets * SCALE, int256)
    self._fund(taken + fees)

    room: uint256 = 0
    if len(exits) != 0:
        room = self._room(nav)
    released: uint256 = 0
    for controller: address in exits:
        assets: uint256 = self._leave(controller, nav, room, fee_ppm)
        released += assets
        nav -= convert(assets * SCALE, int256)
        room -= assets * SCALE
    if released != 0:
        self._desk += released << 128
        extcall CLEARINGHOUSE.pool_release(released)
    return taken, released


@external
def lapse(
    entries: DynArray[address, MAX_BATCH], exits: DynArray[address, MAX_BATCH]
) -> uint256:
    """
    @notice Return requests that nobody executed in time, less the exit fee, which stays with
            the pool. Others are left as they are.
    @param entries controllers of entries
    @param exits controllers of exits
    @return fees of entries, native; fees of exits are shares burned
    """
    fee_ppm: uint256 = self._load_policy().exit_fee_ppm
    fees: uint256 = 0
    for controller: address in entries:
        r: requests.Request = requests._load(ENTRY, controller)
        if requests._has_lapsed(r):
            fees += self._return_entry(controller, r, fee_ppm, LAPSED)
    self._fund(fees)
    for controller: address in exits:
        r: requests.Request = requests._load(EXIT, controller)
        if requests._has_lapsed(r):
            self._return_exit(controller, r, fee_ppm, LAPSED)
    return fees


@external
def mark(account: bytes32) -> uint256:
    """
    @notice Take what an account below nothing cannot pay out of NAV, until it is settled; or, when
            it is short of nothing any more, back in. Whoever is marked is looked at again before
            shares are made or burned, so that no mark is older than its price.
    @return its shortfall, WAD
    @custom:reverts pool: marks are full; oracle: stale price
    """
    amount: uint256 = self._shortfall(account, LEVEL_FRESH)
    shortfalls._mark(account, amount)
    return amount


# ---------------------------------------------------------------- claims


@external
def deposit(assets: uint256, receiver: address, controller: address = msg.sender) -> uint256:
    """
    @notice Claim the shares of an executed entry.
    @param assets native, of what was executed
    @return shares
    @custom:reverts pool: not the controller; pool: amount is zero; pool: more than claimable
    """
    assert requests._acts_for(controller), "pool: not the controller"
    shares: uint256 = requests._take_amount(ENTRY, controller, assets)
    self._hand_shares(controller, receiver, assets, shares)
    return shares


@external
def mint(shares: uint256, receiver: address, controller: address = msg.sender) -> uint256:
    """
    @notice Claim a number of shares of an executed entry.
    @return assets that they took of what was executed, native
    @custom:reverts pool: not the controller; pool: amount is zero; pool: more than claimable
    """
    assert requests._acts_for(controller), "pool: not the controller"
    assets: uint256 = requests._take_out(ENTRY, controller, shares)
    self._hand_shares(controller, receiver, assets, shares)
    return assets


@external
def redeem(shares: uint256, receiver: address, controller: address = msg.sender) -> uint256:
    """
    @notice Claim the assets of an executed exit.
    @param shares of what was executed
    @return assets, native
    @custom:reverts pool: not the controller; pool: amount is zero; pool: more than claimable;
                    pool: transfer failed
    """
    assert requests._acts_for(controller), "pool: not the controller"
    assets: uint256 = requests._take_amount(EXIT, controller, shares)
    self._hand_assets(controller, receiver, assets, shares)
    return assets


@external
def withdraw(assets: uint256, receiver: address, controller: address = msg.sender) -> uint256:
    """
    @notice Claim an amount of assets of an executed exit.
    @return shares that it took of what was executed
    @custom:reverts pool: not the controller; pool: amount is zero; pool: more than claimable;
                    pool: transfer failed
    """
    assert requests._acts_for(controller), "pool: not the controller"
    shares: uint256 = requests._take_out(EXIT, controller, assets)
    self._hand_assets(controller, receiver, assets, shares)
    return shares


@external
def claim_returned(receiver: address, controller: address = msg.sender) -> uint256:
    """
    @notice Take back what entries that lapsed or missed their minimum left here.
    @return assets, native
    @custom:reverts pool: not the controller; pool: amount is zero; pool: transfer failed
    """
    assert requests._acts_for(controller), "pool: not the controller"
    assets: uint256 = self.returned[controller]
    assert assets != 0, "pool: amount is zero"
    self.returned[controller] = 0
    log ILiquidityPool.ReturnClaimed(controller=controller, receiver=receiver, assets=assets)
    self._pay(receiver, assets)
    return assets


# ---------------------------------------------------------------- governor


@external
def set_timing(delay_seconds: uint256, window_seconds: uint256):
    """
    @notice For requests made from now on.
    @param delay_seconds 10 to 604,800 (a week)
    @param window_seconds 60 to 2,592,000 (30 days)
    @custom:reverts ownable: caller is not the owner; pool: delay out of range;
                    pool: window out of range
    """
    ownable._check_owner()
    assert MIN_DELAY <= delay_seconds and delay_seconds <= MAX_DELAY, "pool: delay out of range"
    assert (
        MIN_WINDOW <= window_seconds and window_seconds <= MAX_WINDOW
    ), "pool: window out of range"
    policy: Policy = self._load_policy()
    policy.delay_seconds = delay_seconds
    policy.window_seconds = window_seconds
    self._store_policy(policy)
    log ILiquidityPool.TimingChanged(delay_seconds=delay_seconds, window_seconds=window_seconds)


@external
def set_exit_terms(factor_ppm: uint256, fee_ppm: uint256):
    """
    @param factor_ppm 1,000,000 to 10,000,000: NAV after an exit over the pool's requirement
    @param fee_ppm 0 to 50,000: what a lapsed request pays
    @custom:reverts ownable: caller is not the owner; pool: factor out of range;
                    pool: fee out of range
    """
    ownable._check_owner()
    assert (
        MIN_EXIT_FACTOR_PPM <= factor_ppm and factor_ppm <= MAX_EXIT_FACTOR_PPM
    ), "pool: factor out of range"
    assert fee_ppm <= MAX_EXIT_FEE_PPM, "pool: fee out of range"
    policy: Policy = self._load_policy()
    policy.exit_factor_ppm = factor_ppm
    policy.exit_fee_ppm = fee_ppm
    self._store_policy(policy)
    log ILiquidityPool.ExitTermsChanged(factor_ppm=factor_ppm, fee_ppm=fee_ppm)


# ---------------------------------------------------------------- views of ERC-4626 and ERC-7540


@external
@view
@reentrant
def asset() -> address:
    """
    @notice The settlement token.
    """
    return SETTLEMENT_TOKEN.address


@external
@view
@reentrant
def share() -> address:
    """
    @notice ERC-7575: the share token is this contract.
    """
    return self


@external
@view
@reentrant
def totalAssets() -> uint256:
    """
    @notice NAV as of each instrument's last accrual, native; 0 when negative.
    """
    return convert(max(self._nav(), 0), uint256) // SCALE


@external
@view
@reentrant
def convertToShares(assets: uint256) -> uint256:
    """
    @notice Shares that assets are worth at the NAV of `totalAssets`.
    """
    return self._shares_for(assets * SCALE, self._nav())


@external
@view
@reentrant
def convertToAssets(shares: uint256) -> uint256:
    """
    @notice Assets that shares are worth at the NAV of `totalAssets`, native.
    """
    return self._value_of(shares, self._nav()) // SCALE


# ---------------------------------------------------------------- views of our own


@external
@view
@reentrant
def escrow() -> uint256:
    """
    @notice All that is held here, native: what waits to enter, was sent back, or is set aside
            for exits.
    """
    return self._desk >> 128


@external
@view
@reentrant
def nav() -> int256:
    """
    @notice The pool's net asset value as of each instrument's last accrual, WAD, less what
            marked accounts are short of.
    """
    return self._nav()


@external
@view
@reentrant
def request(kind: uint256, controller: address) -> requests.Request:
    """
    @notice The pending request of a controller; all zero when there is none.
    @param kind 0 entry, 1 exit
    """
    return requests._load(kind, controller)


@external
@view
@reentrant
def preview_request(kind: uint256, amount: uint256) -> (uint256, uint256):
    """
    @notice What a request would get if it were executed alone at the NAV of `nav`.
    @dev Equal to the execution when every instrument was accrued in the same block.
    @param kind 0 entry, 1 exit
    @param amount entries: assets; exits: shares
    @return (what of the amount would be executed, shares or assets for it)
    """
    nav: int256 = self._nav()
    if kind == ENTRY:
        shares: uint256 = self._shares_for(amount * SCALE, nav)
        if not self._may_enter(nav, shares):
            return 0, 0
        return amount, shares
    return self._served(amount, nav, self._room(nav))


@external
@view
@reentrant
def policy() -> Policy:
    """
    @notice Delay, window and exit terms in force.
    """
    return self._load_policy()


# ---------------------------------------------------------------- entering


@internal
def _schedule(kind: uint256, controller: address, amount: uint256, min_out: uint256):
    assert requests._acts_for(controller), "pool: not the controller"
    assert amount != 0, "pool: amount is zero"
    assert amount <= requests.MAX_AMOUNT and min_out <= requests.MAX_AMOUNT, "pool: amount too large"
    assert requests._load(kind, controller).amount == 0, "pool: request pending"
    policy: Policy = self._load_policy()
    assert policy.delay_seconds != 0, "pool: no delay set"
    due: uint256 = block.timestamp + policy.delay_seconds
    r: requests.Request = requests.Request(
        due=due,
        deadline=due + policy.window_seconds,
        amount=amount,
        min_out=min_out,
    )
    requests._store(kind, controller, r)
    log ILiquidityPool.RequestScheduled(
        controller=controller,
        kind=kind,
        amount=amount,
        min_out=min_out,
        due=r.due,
        deadline=r.deadline,
    )


@internal
def _enter(controller: address, nav: int256, fee_ppm: uint256) -> (uint256, uint256):
    """
    @notice Execute the entry of a controller, or return it when it misses its minimum.
    @return (assets taken, fee of what came back), native
    """
    r: requests.Request = requests._load(ENTRY, controller)
    if not requests._is_due(r):
        return 0, 0
    shares: uint256 = self._shares_for(r.amount * SCALE, nav)
    if not self._may_enter(nav, shares) or shares < r.min_out:
        return 0, self._return_entry(controller, r, self._late_ppm(r, fee_ppm), BELOW_MINIMUM)
    requests._forget(ENTRY, controller)
    requests._add_claim(ENTRY, controller, r.amount, shares)
    erc20._mint(self, shares)
    log ILiquidityPool.RequestExecuted(
        controller=controller,
        kind=ENTRY,
        amount=r.amount,
        out=shares,
        nav=nav + convert(r.amount * SCALE, int256),
        supply=erc20.totalSupply,
    )
    return r.amount, 0


@internal
@pure
def _may_enter(nav: int256, shares: uint256) -> bool:
    """
    @notice Nobody enters a pool that owes, or one whose shares have all but lost their price.
    """
    return nav >= 0 and shares != 0 and shares <= requests.MAX_AMOUNT


@internal
@view
def _late_ppm(r: requests.Request, fee_ppm: uint256) -> uint256:
    """
    @notice What comes back of an execution pays nothing if it was prompt: else somebody could
            wait with his request, and end it for nothing once he knows which way prices went.
    """
    if requests._is_prompt(r):
        return 0
    return fee_ppm


@internal
def _return_entry(
    controller: address, r: requests.Request, fee_ppm: uint256, reason: uint256
) -> uint256:
    """
    @return fee that stays with the pool, native
    """
    fee: uint256 = self._share_up(r.amount, fee_ppm)
    requests._forget(ENTRY, controller)
    self.returned[controller] += r.amount - fee
    log ILiquidityPool.RequestReturned(
        controller=controller,
        kind=ENTRY,
        reason=reason,
        amount=r.amount - fee,
        fee=fee,
        supply=erc20.totalSupply,
    )
    return fee


@internal
def _fund(assets: uint256):
    """
    @notice Send assets that waited here to the pool line.
    """
    if assets == 0:
        return
    self._desk -= assets << 128
    assert extcall SETTLEMENT_TOKEN.transfer(
        CLEARINGHOUSE.address, assets, default_return_value=True
    ), "pool: transfer failed"
    extcall CLEARINGHOUSE.pool_fund(assets)


# ---------------------------------------------------------------- leaving


@internal
def _leave(controller: address, nav: int256, room: uint256, fee_ppm: uint256) -> uint256:
    """
    @notice Execute the exit of a controller as far as the room goes, and return what does not
            fit; or all of it when it misses its minimum.
    @param room WAD, that may leave the pool
    @return assets set aside, native
    """
    r: requests.Request = requests._load(EXIT, controller)
    if not requests._is_due(r):
        return 0
    shares: uint256 = 0
    assets: uint256 = 0
    shares, assets = self._served(r.amount, nav, room)
    # the part of the minimum that these shares have to bring, up
    part: uint256 = (r.min_out * shares + r.amount - 1) // r.amount
    if shares != 0 and (assets < part or assets == 0):
        self._return_exit(controller, r, self._late_ppm(r, fee_ppm), BELOW_MINIMUM)
        return 0
    if shares != 0:
        requests._forget(EXIT, controller)
        requests._add_claim(EXIT, controller, shares, assets)
        erc20._burn(self, shares)
        log ILiquidityPool.RequestExecuted(
            controller=controller,
            kind=EXIT,
            amount=shares,
            out=assets,
            nav=nav - convert(assets * SCALE, int256),
            supply=erc20.totalSupply,
        )
    if shares != r.amount:
        rest: requests.Request = r
        rest.amount -= shares
        self._return_exit(controller, rest, self._late_ppm(r, fee_ppm), NO_ROOM)
    return assets


@internal
@view
def _served(shares: uint256, nav: int256, room: uint256) -> (uint256, uint256):
    """
    @notice How much of an exit the room allows.
    @return (shares, assets for them native); (0, 0) when the room is not a native unit
    """
    worth: uint256 = self._value_of(shares, nav)
    if worth <= room:
        return shares, worth // SCALE
    # down, so that what is served is worth no more than the room
    served: uint256 = room * (erc20.totalSupply + VIRTUAL) // (
        convert(max(nav, 0), uint256) + VIRTUAL
    )
    assets: uint256 = self._value_of(served, nav) // SCALE
    if assets == 0:
        return 0, 0
    return served, assets


@internal
def _return_exit(controller: address, r: requests.Request, fee_ppm: uint256, reason: uint256):
    """
    @notice Give back shares, less the fee, which is burned.
    """
    fee: uint256 = self._share_up(r.amount, fee_ppm)
    requests._forget(EXIT, controller)
    if fee != 0:
        erc20._burn(self, fee)
    erc20._transfer(self, controller, r.amount - fee)
    log ILiquidityPool.RequestReturned(
        controller=controller,
        kind=EXIT,
        reason=reason,
        amount=r.amount - fee,
        fee=fee,
        supply=erc20.totalSupply,
    )


@internal
@view
def _room(nav: int256) -> uint256:
    """
    @notice What may leave the pool: not more than its idle tokens, those that it has not lent
            to accounts in debt, and NAV stays above its requirement times the exit factor.
    @return WAD
    """
    line: int256 = 0
    mark: int256 = 0
    requirement: uint256 = 0
    line, mark, requirement = self._lines()
    kept: uint256 = self._share_up(requirement, self._load_policy().exit_factor_ppm)
    debt: int256 = convert(staticcall DEBTS.total(), int256)
    return convert(max(min(line - debt, nav - convert(kept, int256)), 0), uint256)


# ---------------------------------------------------------------- claiming


@internal
def _hand_shares(controller: address, receiver: address, assets: uint256, shares: uint256):
    erc20._transfer(self, receiver, shares)
    log ILiquidityPool.Deposit(sender=controller, owner=receiver, assets=assets, shares=shares)


@internal
def _hand_assets(controller: address, receiver: address, assets: uint256, shares: uint256):
    log ILiquidityPool.Withdraw(
        sender=msg.sender, receiver=receiver, owner=controller, assets=assets, shares=shares
    )
    self._pay(receiver, assets)


@internal
def _pay(receiver: address, assets: uint256):
    self._desk -= assets << 128
    assert extcall SETTLEMENT_TOKEN.transfer(
        receiver, assets, default_return_value=True
    ), "pool: transfer failed"


# ---------------------------------------------------------------- arithmetic


@internal
@view
def _nav() -> int256:
    line: int256 = 0
    mark: int256 = 0
    requirement: uint256 = 0
    line, mark, requirement = self._lines()
    return line + mark + staticcall DEBTS.due() - convert(shortfalls.marked, int256)


@internal
@view
def _shortfall(account: bytes32, level: uint256) -> uint256:
    """
    @notice What an account is short of (docs/SPEC.md 9.6). Its tokens count twice, since a
            haircut is no loss; who has nothing but a debt is a deficit, to be absorbed.
    @return WAD
    """
    s: IClearinghouse.Assessment = staticcall CLEARINGHOUSE.assess(account, level)
    if s.count == 0 and s.collateral < DUST:
        return 0
    return convert(max(-s.equity - convert(s.collateral, int256), 0), uint256)


@internal
@view
def _lines() -> (int256, int256, uint256):
    """
    @return (pool line, its result with all instruments, what it must hold for them), WAD
    """
    line: int256 = 0
    insurance: uint256 = 0
    protocol: uint256 = 0
    mark: int256 = 0
    requirement: uint256 = 0
    line, insurance, protocol, mark, requirement = staticcall MARKETS.ledger()
    return line, mark, requirement


@internal
@view
def _shares_for(assets_wad: uint256, nav: int256) -> uint256:
    """
    @return shares, down
    """
    worth: uint256 = convert(max(nav, 0), uint256)
    return assets_wad * (erc20.totalSupply + VIRTUAL) // (worth + VIRTUAL)


@internal
@view
def _value_of(shares: uint256, nav: int256) -> uint256:
    """
    @return WAD quote, down
    """
    worth: uint256 = convert(max(nav, 0), uint256)
    return shares * (worth + VIRTUAL) // (erc20.totalSupply + VIRTUAL)


@internal
@pure
def _share_up(amount: uint256, ppm: uint256) -> uint256:
    return (amount * ppm + PPM - 1) // PPM


# ---------------------------------------------------------------- words


@internal
@view
def _load_policy() -> Policy:
    word: uint256 = self._desk
    return Policy(
        delay_seconds=words._unsigned(word, 0, 32),
        window_seconds=words._unsigned(word, 32, 32),
        exit_factor_ppm=words._unsigned(word, 64, 32),
        exit_fee_ppm=words._unsigned(word, 96, 32),
    )


@internal
def _store_policy(p: Policy):
    self._desk = (
        words._put_unsigned(p.delay_seconds, 0, 32)
        | words._put_unsigned(p.window_seconds, 32, 32)
        | words._put_unsigned(p.exit_factor_ppm, 64, 32)
        | words._put_unsigned(p.exit_fee_ppm, 96, 32)
        | ((self._desk >> 128) << 128)
    )
