# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Clearinghouse
@notice Settlement tokens, and the cash and positions of every account. Owners deposit,
        withdraw and move value here; orders, liquidations and pool requests reach it through
        Orders, Liquidator and LiquidityPool, which decide, while this contract accounts.
        The other side of every trade is in Markets.
@dev Each act stores what it changes, then asks whether the account may be so, and reverts
     whole if it may not; tokens move last. It trusts its companions, fixed at deployment, and
     the risk engine, which the governor can change; it trusts no caller and no token beyond
     the settlement token, whose transfers are exact.
@custom:units cash, prices, sizes WAD; amounts of the token in its own decimals (`_native`);
              rates ppm; times unix seconds
@custom:signs size > 0 long; cash < 0 debt; owed > 0 leaves the account
@custom:rounding none here: what rounds is Markets' and RiskEngine's
@custom:halt none here: instruments are halted in Instruments; withdrawals never are
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from snekmate.auth import ownable

from contracts.interfaces import IClearinghouse
from contracts.interfaces import IDebts
from contracts.interfaces import IMarkets
from contracts.interfaces import IRiskEngine
from contracts.interfaces import IVault
from contracts.modules import account_words
from contracts.modules import words

implements: IClearinghouse
initializes: ownable

exports: (ownable.owner, ownable.transfer_ownership)

WAD: constant(int256) = 10**18
PPM: constant(int256) = 10**6
MAX_POSITIONS: constant(uint256) = 16
MASK_128: constant(uint256) = 2**128 - 1
DUST: constant(int256) = 10**18  # WAD: collateral below it is not worth a sale

LEVEL_ANY: constant(uint256) = 0
LEVEL_RECENT: constant(uint256) = 1
LEVEL_TIGHT: constant(uint256) = 3

CAUSE_ORDER: constant(uint256) = 1
CAUSE_LIQUIDATION: constant(uint256) = 2
CAUSE_MOVE_OUT: constant(uint256) = 3
CAUSE_MOVE_IN: constant(uint256) = 4
CAUSE_SETTLEMENT: constant(uint256) = 5

CASH_DEPOSIT: constant(uint256) = 1
CASH_WITHDRAWAL: constant(uint256) = 2
CASH_MOVE: constant(uint256) = 3
CASH_HOLD: constant(uint256) = 4
CASH_RELEASE: constant(uint256) = 5
CASH_EXECUTION: constant(uint256) = 7
CASH_LIQUIDATION: constant(uint256) = 8
CASH_DEFICIT: constant(uint256) = 9
CASH_REPAID: constant(uint256) = 10

SETTLEMENT_TOKEN: public(immutable(IERC20))
SCALE: public(immutable(uint256))  # WAD of one native unit
MARKETS: public(immutable(IMarkets))
ORDERS: public(immutable(address))
LIQUIDATOR: public(immutable(address))
VAULT: public(immutable(IVault))
POOL: public(immutable(address))
DEBTS: public(immutable(IDebts))
TOP_UPS: public(immutable(address))

event RiskEngineChanged:
    risk_engine: address


_accounts: HashMap[bytes32, uint256]                         # account_words
_tails: HashMap[bytes32, uint256]
_positions: HashMap[bytes32, HashMap[uint256, uint256[2]]]   # size int128 | notional int128, index
_risk_engine: IRiskEngine


@deploy
def __init__(
    owner: address,
    settlement_token: IERC20,
    risk_engine: IRiskEngine,
    markets: IMarkets,
    orders: address,
    liquidator: address,
    vault: IVault,
    pool: address,
    debts: IDebts,
    top_ups: address,
):
    """
    @param settlement_token a stablecoin of at most 18 decimals, without transfer fee or hooks
    """
    ownable.__init__()
    ownable._transfer_ownership(owner)
    SETTLEMENT_TOKEN = settlement_token
    SCALE = 10 ** (
        18 - convert(staticcall IERC20Detailed(settlement_token.address).decimals(), uint256)
    )
    MARKETS = markets
    ORDERS = orders
    LIQUIDATOR = liquidator
    VAULT = vault
    POOL = pool
    DEBTS = debts
    TOP_UPS = top_ups
    self._risk_engine = risk_engine


# ---------------------------------------------------------------- owners of accounts


@external
def deposit(account: bytes32, amount_native: uint256):
    """
    @notice Add settlement tokens to the cash of an account; anyone may.
    @custom:reverts account: no owner; account: nothing to move
    """
    assert account_words._owner(account) != empty(address), "account: no owner"
    assert amount_native > 0, "account: nothing to move"
    self._credit(account, convert(amount_native * SCALE, int256), CASH_DEPOSIT)
    self._pull(msg.sender, amount_native)


@external
def withdraw(account: bytes32, amount_native: uint256, receiver: address):
    """
    @notice Send cash of an account to a receiver.
    @dev With no position and enough cash neither oracle nor risk engine is asked.
    @custom:reverts account: not the owner; account: nothing to move;
                    account: below initial margin; account: gain not withdrawable;
                    account: debt above its cap; oracle: ...
    """
    self._only_owner(account)
    self._debit(account, amount_native, CASH_WITHDRAWAL)
    self._push(receiver, amount_native)


@external
def move_cash(source: bytes32, target: bytes32, amount_native: uint256):
    """
    @notice Move cash between two buckets of one owner; the source is checked as in a withdrawal.
    @dev TopUps calls it where a rule of the owner says so.
    @custom:reverts as withdraw; account: same bucket
    """
    owner: address = account_words._owner(source)
    assert (
        (msg.sender == owner or msg.sender == TOP_UPS) and owner == account_words._owner(target)
    ), "account: not the owner"
    assert source != target, "account: same bucket"
    self._debit(source, amount_native, CASH_MOVE)
    self._credit(target, convert(amount_native * SCALE, int256), CASH_MOVE)


@external
def move_position(source: bytes32, target: bytes32, instrument: uint256):
    """
    @notice Move a whole position between two buckets of one owner, as it is.
    @dev Funding is settled on the way. Both buckets must be above initial margin after it.
    @custom:reverts account: not the owner; account: same bucket; account: no such position;
                    account: holds it already; account: book is full;
                    account: below initial margin; account: gain not withdrawable; oracle: ...
    """
    self._only_owner(source)
    self._only_owner(target)
    assert source != target, "account: same bucket"
    held: IRiskEngine.Position = self._held(source, instrument)
    assert held.size != 0, "account: no such position"
    assert self._held(target, instrument).size == 0, "account: holds it already"
    owed: int256 = 0
    owed, held.settled = extcall MARKETS.settle(instrument, held.size, held.settled)

    a: account_words.Account = account_words._unpack(self._accounts[source])
    self._remove_position(source, a, instrument, -owed)
    b: account_words.Account = account_words._unpack(self._accounts[target])
    self._store_held(target, held)
    self._add_position(target, b, instrument, 0)

    o: IMarkets.Outcome = empty(IMarkets.Outcome)
    o.delta = -held.size
    o.owed = owed
    self._log_position(source, instrument, CAUSE_MOVE_OUT, o)
    o.delta = held.size
    o.owed = 0
    o.size = held.size
    o.notional = held.notional
    o.settled = held.settled
    self._log_position(target, instrument, CAUSE_MOVE_IN, o)
    self._check_free(source)
    self._check_initial(target)


@external
def set_mode(account: bytes32, mode: uint256):
    """
    @notice Choose 1 isolated, 2 cross or 3 portfolio for a bucket.
    @custom:reverts account: not the owner; account: below initial margin;
                    risk: mode not available; risk: isolated holds one
    """
    self._only_owner(account)
    assert mode >= 1 and mode <= 3, "risk: mode not available"
    a: account_words.Account = account_words._unpack(self._accounts[account])
    a.mode = mode
    self._store_flags(account, a)
    self._check_initial(account)


@external
def fund_insurance(amount_native: uint256):
    """
    @notice Give settlement tokens to insurance; nobody gets them back.
    """
    extcall MARKETS.change_lines(0, convert(amount_native * SCALE, int256))
    self._pull(msg.sender, amount_native)


@external
def accrue_debt():
    """
    @notice Bring the interest of all debt up to now; anyone may.
    """
    self._accrue_debt()


# ---------------------------------------------------------------- Orders


@external
def hold(
    account: bytes32,
    instrument: uint256,
    size: int256,
    reduce_only: bool,
    execution_fee: uint256,
    buffer_ppm: uint256,
) -> (uint256, uint256, uint256, bool):
    """
    @notice Reserve what an order needs, and put its execution fee into escrow
            (docs/SPEC.md 6.2): the fee leaves the account now, on the terms of a withdrawal.
            An order of size 0 is a fee alone: of one that waits for its trigger.
    @return (reserved WAD, lapse charge WAD, feed, whether it opens: no pure reduction)
    @custom:reverts order: nothing to reduce; account: not enough margin;
                    account: debt above its cap; and what RiskEngine.order_margin says
    """
    self._only(ORDERS)
    a: account_words.Account = account_words._unpack(self._accounts[account])
    reserve: uint256 = 0
    lapse: uint256 = 0
    missing: int256 = 0
    feed: uint256 = 0
    opening: bool = False
    reserve, lapse, missing, feed, opening = self._order_terms(
        account, a, instrument, size, reduce_only, execution_fee, buffer_ppm
    )
    assert missing <= 0, "account: not enough margin"
    a.reserved += reserve
    a.cash = self._store_cash(account, a, -convert(execution_fee, int256))
    self._log_cash(account, CASH_HOLD, -convert(execution_fee, int256), a)
    return reserve, lapse, feed, opening


@external
def release(account: bytes32, reserved: uint256, charge: uint256, fee: uint256, executor: address):
    """
    @notice End an order unfilled: free its reserve, and charge it for insurance.
    @param fee WAD, from escrow
    @param executor who gets the fee; the empty address: back to the account
    @dev Who has nothing else any more, after a liquidation, pays what cash he has.
    """
    self._only(ORDERS)
    a: account_words.Account = account_words._unpack(self._accounts[account])
    charged: int256 = convert(charge, int256)
    if a.count == 0 and a.collateral == 0:
        charged = min(charged, max(a.cash, 0))
    change: int256 = -charged
    if executor == empty(address):
        change += convert(fee, int256)
    a.reserved -= reserved
    a.cash = self._store_cash(account, a, change)
    self._log_cash(account, CASH_RELEASE, change, a)
    if charged > 0:
        extcall MARKETS.change_lines(0, charged)
    if executor != empty(address):
        self._pay(executor, convert(fee, int256), CASH_EXECUTION)


@external
def fill(
    account: bytes32,
    instrument: uint256,
    size: int256,
    fill_index: uint256,
    slot: uint256,
    acceptable: uint256,
    reduce_only: bool,
    reserved: uint256,
    execution_fee: uint256,
    executor: address,
):
    """
    @notice Fill an order and free its reserve.
    @param fill_index WAD index price of the order's slot, on the side that the order pays
    @param slot the slot of fill_index; when it is not the newest, margin must hold at both
    @param acceptable WAD worst average price; 0 any
    @dev The first five errors end the order; any other leaves it as it is.
    @custom:reverts fill: price; fill: margin; fill: limit; fill: nothing to reduce; fill: halted;
                    oracle: ...
    """
    self._only(ORDERS)
    held: IRiskEngine.Position = self._held(account, instrument)
    delta: int256 = size
    if reduce_only:
        assert held.size * size < 0, "fill: nothing to reduce"
        if abs(size) > abs(held.size):
            delta = -held.size
    reducing: bool = held.size * delta < 0 and abs(delta) <= abs(held.size)
    a: account_words.Account = account_words._unpack(self._accounts[account])
    if held.size == 0 and a.count != 0:
        isolated: bool = account_words._mode(account, a.mode) == 1
        assert not isolated and a.count < MAX_POSITIONS, "fill: margin"
    # with nothing beside this position there is no health to compare once it is closed
    bare: bool = a.count < 2 and a.collateral == 0
    before: IClearinghouse.Assessment = empty(IClearinghouse.Assessment)
    if reducing and not (bare and delta + held.size == 0):
        before = self._assessed(account, LEVEL_RECENT, 0, 0)

    o: IMarkets.Outcome = extcall MARKETS.fill(
        instrument, held.size, held.notional, held.settled, delta, fill_index, acceptable
    )
    a.reserved -= reserved
    self._store_outcome(account, a, instrument, held.size, o)
    self._log_position(account, instrument, CAUSE_ORDER, o)
    self._pay(executor, convert(execution_fee, int256), CASH_EXECUTION)
    if bare and o.size == 0:
        # the premium of its own close must not leave others a deficit: a forced fill has none
        assert words._signed(self._accounts[account], 0, 112) >= 0, "fill: margin"
    else:
        self._check_filled(account, o, fill_index, slot, reducing, before)


# ---------------------------------------------------------------- Liquidator


@external
def force_fill(
    account: bytes32, instrument: uint256, size: int256, equity: int256, liquidator: address
) -> (uint256, uint256):
    """
    @notice Close `size` (signed, against the position) at its forced price
            (docs/SPEC.md 5.8, 8.4): fee and penalty take no more than the equity left. What an
            account cannot pay is paid once it has nothing left.
    @param equity WAD, of the account before it
    @param liquidator who is paid; the empty address: nobody, the instrument settles
    @return (fee and penalty, liquidator's part), WAD
    """
    self._only(LIQUIDATOR)
    held: IRiskEngine.Position = self._held(account, instrument)
    assert held.size * size < 0 and abs(size) <= abs(held.size), "account: not a reduction"
    o: IMarkets.Outcome = extcall MARKETS.force(
        instrument, held.size, held.notional, held.settled, size, equity
    )
    a: account_words.Account = account_words._unpack(self._accounts[account])
    self._store_outcome(account, a, instrument, held.size, o)
    cause: uint256 = CAUSE_LIQUIDATION
    if liquidator == empty(address):
        cause = CAUSE_SETTLEMENT
    self._log_position(account, instrument, cause, o)
    self._pay(liquidator, convert(o.reward, int256), CASH_LIQUIDATION)
    if o.fee == 0 and (equity < 0 or (o.size == 0 and a.count == 1)):
        # no equity was left to charge: its loss, since entry, may become a deficit
        lost: int256 = max(-o.cash, 0)
        if size > 0:
            lost = -lost
        self._absorb(account, instrument, lost)
    return o.fee, o.reward


@external
def set_call(account: bytes32, called: bool, deadline: uint256):
    """
    @notice Mark or clear a margin call.
    """
    self._only(LIQUIDATOR)
    a: account_words.Account = account_words._unpack(self._accounts[account])
    a.called = called
    tail: uint256 = self._tails[account] & (2**224 - 1)
    if called:
        tail |= deadline << account_words.DEADLINE_SHIFT
    self._tails[account] = tail
    self._store_flags(account, a)


@external
def absorb(account: bytes32):
    """
    @notice Have paid what an account without position and collateral is short of.
    """
    self._only(LIQUIDATOR)
    self._absorb(account, 0, 0)


@external
def repay(account: bytes32, payer: address, amount_native: uint256) -> uint256:
    """
    @notice Take settlement tokens from a payer into the cash of an account in debt.
    @return credited, WAD
    """
    self._only(LIQUIDATOR)
    amount: uint256 = amount_native * SCALE
    self._credit(account, convert(amount, int256), CASH_REPAID)
    self._pull(payer, amount_native)
    return amount


# ---------------------------------------------------------------- Vault and LiquidityPool


@external
def set_collateral(account: bytes32, mask: uint256):
    """
    @notice Which tokens the Vault holds for an account.
    """
    self._only(VAULT.address)
    assert account_words._owner(account) != empty(address), "account: no owner"
    a: account_words.Account = account_words._unpack(self._accounts[account])
    a.collateral = mask
    self._store_flags(account, a)


@external
@view
@reentrant
def require_free(account: bytes32) -> bool:
    """
    @notice Revert unless the account may be as it is after value left it (docs/SPEC.md 2.6).
    @return always true
    """
    a: account_words.Account = account_words._unpack(self._accounts[account])
    if a.count != 0 or a.cash < convert(a.reserved, int256):
        self._check_free(account)
    return True


@external
def mark_all(since: uint256) -> (int256, uint256):
    """
    @notice Accrue all debt, and every instrument at fresh prices of a slot >= since.
    @return (NAV, pool requirement), WAD
    """
    self._only(POOL)
    self._accrue_debt()
    nav: int256 = 0
    requirement: uint256 = 0
    nav, requirement = extcall MARKETS.mark_all(since)
    return nav + staticcall DEBTS.due(), requirement


@external
def pool_fund(amount_native: uint256):
    """
    @notice Credit the pool line with tokens that the pool has just sent.
    """
    self._only(POOL)
    extcall MARKETS.change_lines(convert(amount_native * SCALE, int256), 0)


@external
def pool_release(amount_native: uint256):
    """
    @notice Send tokens of the pool line to the pool.
    @custom:reverts pool: not enough idle
    """
    self._only(POOL)
    extcall MARKETS.change_lines(-convert(amount_native * SCALE, int256), 0)
    self._push(msg.sender, amount_native)


# ---------------------------------------------------------------- governor


@external
def adopt_risk_engine():
    """
    @notice Put the risk engine in force that Markets has announced, for both at once.
    @custom:reverts market: notice not over
    """
    ownable._check_owner()
    self._risk_engine = IRiskEngine(extcall MARKETS.adopt_risk_engine())
    log RiskEngineChanged(risk_engine=self._risk_engine.address)


@external
def collect_protocol(receiver: address):
    """
    @notice Send the protocol's fees, whole native units of them.
    """
    ownable._check_owner()
    amount_native: uint256 = extcall MARKETS.take_protocol(SCALE)
    self._push(receiver, amount_native)


# ---------------------------------------------------------------- views


@external
@view
@reentrant
def assess(account: bytes32, level: uint256) -> IClearinghouse.Assessment:
    """
    @notice What an account is worth and must hold now, funding to this block included.
    @param level freshness that its prices must have (0: any stored price)
    """
    return self._assessed(account, level, 0, 0)


@external
@view
@reentrant
def order_terms(
    account: bytes32,
    instrument: uint256,
    size: int256,
    reduce_only: bool,
    execution_fee: uint256,
    buffer_ppm: uint256,
) -> (uint256, uint256, int256):
    """
    @notice What `hold` would reserve.
    @return (reserved, lapse charge, margin missing: `hold` refuses when > 0), WAD
    @custom:reverts as hold, but for margin
    """
    reserve: uint256 = 0
    lapse: uint256 = 0
    missing: int256 = 0
    feed: uint256 = 0
    opening: bool = False
    reserve, lapse, missing, feed, opening = self._order_terms(
        account,
        account_words._unpack(self._accounts[account]),
        instrument,
        size,
        reduce_only,
        execution_fee,
        buffer_ppm,
    )
    return reserve, lapse, missing


@external
@view
@reentrant
def positions(account: bytes32) -> DynArray[IRiskEngine.Position, 16]:
    """
    @notice The book of an account, in the order of its words
    """
    return self._book(account, account_words._unpack(self._accounts[account]))


@external
@view
@reentrant
def account_word(account: bytes32) -> (uint256, uint256):
    """
    @notice The two packed words of an account (docs/SPEC.md 1.3)
    """
    return self._accounts[account], self._tails[account]


@external
@view
@reentrant
def position(account: bytes32, instrument: uint256) -> (int256, int256, int256):
    """
    @return (size, notional, index at last settlement), WAD
    """
    held: IRiskEngine.Position = self._held(account, instrument)
    return held.size, held.notional, held.settled


@external
@view
@reentrant
def risk_engine() -> address:
    return self._risk_engine.address


# ---------------------------------------------------------------- who may


@internal
@view
def _only(companion: address):
    assert msg.sender == companion, "clearinghouse: wrong caller"


@internal
@view
def _only_owner(account: bytes32):
    assert account_words._owner(account) == msg.sender, "account: not the owner"


@internal
@view
def _check_initial(account: bytes32):
    """
    @notice The account is above initial margin at fresh, tight prices
    """
    s: IClearinghouse.Assessment = self._assessed(account, LEVEL_TIGHT, 0, 0)
    assert (
        s.equity_initial >= convert(s.initial + s.reserved, int256)
    ), "account: below initial margin"


@internal
@view
def _check_free(account: bytes32):
    """
    @notice Value may leave: above initial margin, not out of an unrealised gain, debt capped
    """
    s: IClearinghouse.Assessment = self._assessed(account, LEVEL_TIGHT, 0, 0)
    assert (
        s.equity_initial >= convert(s.initial + s.reserved, int256)
    ), "account: below initial margin"
    assert (
        s.cash - s.owed + convert(s.collateral_initial, int256) >= convert(s.reserved, int256)
    ), "account: gain not withdrawable"
    self._check_debt(s.cash, 0)


@internal
@view
def _check_debt(cash: int256, more: int256):
    """
    @notice What an account owes, and what all owe, is below its ceiling (docs/SPEC.md 2.7)
    @param more WAD, debt of the account that the sum of all does not hold yet
    """
    if cash < 0:
        fits: bool = staticcall DEBTS.fits(convert(-cash, uint256), more)
        assert fits, "account: debt above its cap"


@internal
@view
def _check_filled(
    account: bytes32,
    o: IMarkets.Outcome,
    fill_index: uint256,
    slot: uint256,
    reducing: bool,
    before: IClearinghouse.Assessment,
):
    """
    @notice The account may be as a fill left it: above initial margin at the newest price and
            at its slot's, or, for a reduction, no nearer to liquidation than before.
    """
    level: uint256 = LEVEL_TIGHT
    if reducing:
        level = LEVEL_RECENT
    risk: IRiskEngine = IRiskEngine(o.risk_engine)
    s: IClearinghouse.Assessment = self._assessed_by(risk, account, level, 0, 0)
    if reducing:
        if (
            s.equity * convert(before.maintenance, int256)
            >= before.equity * convert(s.maintenance, int256)
        ):
            return
    needed: int256 = convert(s.initial + s.reserved + o.crowding, int256)
    assert s.equity_initial >= needed, "fill: margin"
    if slot != o.slot:
        s = self._assessed_by(risk, account, level, o.feed, fill_index)
        needed = convert(s.initial + s.reserved + o.crowding, int256)
        assert s.equity_initial >= needed, "fill: margin"


@internal
@view
def _order_terms(
    account: bytes32,
    a: account_words.Account,
    instrument: uint256,
    size: int256,
    reduce_only: bool,
    execution_fee: uint256,
    buffer_ppm: uint256,
) -> (uint256, uint256, int256, uint256, bool):
    """
    @notice Reserve and lapse charge of an order, and the margin that is missing for it. Its
            execution fee leaves at once, on the terms of a withdrawal (docs/SPEC.md 6.2).
    @return (reserve, lapse charge, margin missing, feed, whether it opens)
    """
    held: int256 = 0
    if a.count != 0:
        held = self._held(account, instrument).size
    reducing: bool = held * size < 0 and (reduce_only or abs(size) <= abs(held))
    assert reducing or not reduce_only, "order: nothing to reduce"
    r: IRiskEngine.Requirement = empty(IRiskEngine.Requirement)
    reserve: uint256 = 0
    lapse: uint256 = 0
    feed: uint256 = 0
    if size != 0:
        r, reserve, lapse, feed = staticcall self._risk_engine.order_margin(
            account_words._mode(account, a.mode),
            self._book(account, a),
            instrument,
            size,
            buffer_ppm,
            reducing,
        )
    if reducing and execution_fee == 0:
        # below initial margin too one may reduce, but not promise more than there is
        now: IClearinghouse.Assessment = self._weighed(account, a, r, LEVEL_RECENT)
        missing_equity: int256 = convert(a.reserved + reserve, int256) - now.equity
        return reserve, lapse, missing_equity, feed, False

    if (reducing or size == 0) and a.count != 0:
        r = staticcall self._risk_engine.requirement(
            account_words._mode(account, a.mode), self._book(account, a), LEVEL_TIGHT, 0, 0
        )
    s: IClearinghouse.Assessment = self._weighed(account, a, r, LEVEL_TIGHT)
    fee: int256 = convert(execution_fee, int256)
    missing: int256 = convert(a.reserved, int256) + fee + max(
        convert(s.initial + reserve, int256) - s.equity_initial,
        s.owed - s.cash - convert(s.collateral_initial, int256),
    )
    if fee != 0 and missing <= 0:
        self._check_debt(s.cash - fee, max(fee - s.cash, 0) - max(-s.cash, 0))
    return reserve, lapse, missing, feed, not reducing


# ---------------------------------------------------------------- equity


@internal
@view
def _assessed(
    account: bytes32, level: uint256, feed: uint256, price: uint256
) -> IClearinghouse.Assessment:
    return self._assessed_by(self._risk_engine, account, level, feed, price)


@internal
@view
def _assessed_by(
    risk: IRiskEngine, account: bytes32, level: uint256, feed: uint256, price: uint256
) -> IClearinghouse.Assessment:
    """
    @notice Equity and requirement of an account (docs/SPEC.md 7), with a WAD price in the place
            of one feed's stored one when feed is not 0
    """
    a: account_words.Account = account_words._unpack(self._accounts[account])
    r: IRiskEngine.Requirement = empty(IRiskEngine.Requirement)
    if a.count != 0:
        r = staticcall risk.requirement(
            account_words._mode(account, a.mode), self._book(account, a), level, feed, price
        )
    return self._weighed(account, a, r, level)


@internal
@view
def _weighed(
    account: bytes32, a: account_words.Account, r: IRiskEngine.Requirement, level: uint256
) -> IClearinghouse.Assessment:
    """
    @notice The requirement of a book put against what the account has
    """
    cash: int256 = self._cash_now(account, a.cash)
    s: IClearinghouse.Assessment = IClearinghouse.Assessment(
        equity=cash - r.owed + r.upnl,
        equity_initial=cash - r.owed + r.upnl_initial,
        maintenance=r.maintenance,
        plain_initial=r.plain_initial,
        initial=r.initial,
        reserved=a.reserved,
        cash=cash,
        owed=r.owed,
        collateral=0,
        collateral_initial=0,
        mode=account_words._mode(account, a.mode),
        called=a.called,
        deadline=0,
        count=a.count,
    )
    if a.called:
        s.deadline = self._tails[account] >> account_words.DEADLINE_SHIFT
    if a.count == 0 and cash < 0:
        s.maintenance, s.plain_initial = staticcall self._risk_engine.debt_requirement(
            convert(-cash, uint256)
        )
        s.initial = s.plain_initial
    if a.collateral != 0:
        s.collateral, s.collateral_initial = staticcall VAULT.value(account, a.collateral, level)
        s.equity += convert(s.collateral, int256)
        s.equity_initial += convert(s.collateral_initial, int256)
    return s


@internal
@view
def _book(
    account: bytes32, a: account_words.Account
) -> DynArray[IRiskEngine.Position, 16]:
    book: DynArray[IRiskEngine.Position, 16] = []
    if a.count != 0:
        tail: uint256 = 0
        if a.count > 2:
            tail = self._tails[account]
        for i: uint256 in range(a.count, bound=16):
            instrument: uint256 = account_words._id_at(a.heads, tail, i)
            book.append(self._position(instrument, self._positions[account][instrument]))
    return book


# ---------------------------------------------------------------- positions


@internal
@view
def _held(account: bytes32, instrument: uint256) -> IRiskEngine.Position:
    """
    @notice A position that may not be there: then the second word is not read
    """
    w: uint256[2] = [self._positions[account][instrument][0], 0]
    if w[0] != 0:
        w[1] = self._positions[account][instrument][1]
    return self._position(instrument, w)


@internal
@pure
def _position(instrument: uint256, w: uint256[2]) -> IRiskEngine.Position:
    return IRiskEngine.Position(
        instrument=instrument,
        size=convert(convert(w[0] << 128, bytes32), int256) >> 128,
        notional=convert(convert(w[0], bytes32), int256) >> 128,
        settled=convert(convert(w[1], bytes32), int256),
    )


@internal
def _store_held(account: bytes32, p: IRiskEngine.Position):
    """
    @dev What is signed fits 128 bits when it is below 2^128 after adding 2^127, modulo 2^256.
    """
    size: uint256 = convert(convert(p.size, bytes32), uint256)
    notional: uint256 = convert(convert(p.notional, bytes32), uint256)
    assert (
        (unsafe_add(size, 2**127) >> 128) | (unsafe_add(notional, 2**127) >> 128) == 0
    ), "word: value too large"
    self._positions[account][p.instrument] = [
        (size & MASK_128) | (notional << 128), convert(convert(p.settled, bytes32), uint256)
    ]


@internal
def _store_outcome(
    account: bytes32,
    a: account_words.Account,
    instrument: uint256,
    size_before: int256,
    o: IMarkets.Outcome,
):
    """
    @notice Store the position and the account as a fill leaves them
    """
    if o.size == 0:
        self._remove_position(account, a, instrument, o.cash)
        return
    self._store_held(
        account,
        IRiskEngine.Position(
            instrument=instrument, size=o.size, notional=o.notional, settled=o.settled
        ),
    )
    if size_before == 0:
        self._add_position(account, a, instrument, o.cash)
    else:
        self._store_cash(account, a, o.cash)


@internal
def _add_position(
    account: bytes32, a_before: account_words.Account, instrument: uint256, cash: int256
):
    """
    @notice List one more instrument in a book and change its cash
    """
    a: account_words.Account = a_before
    assert a.count < MAX_POSITIONS, "account: book is full"
    tail: uint256 = 0
    if a.count > 1:
        tail = self._tails[account]
    a.heads, tail = account_words._with_id(a.heads, tail, a.count, instrument)
    if a.count > 1:
        self._tails[account] = tail
    a.count += 1
    self._store_cash(account, a, cash)


@internal
def _remove_position(
    account: bytes32, a_before: account_words.Account, instrument: uint256, cash: int256
):
    """
    @notice Clear a position, let the last of the book take its place, and change the cash
    """
    a: account_words.Account = a_before
    tail: uint256 = 0
    if a.count > 2:
        tail = self._tails[account]
    last: uint256 = a.count - 1
    for i: uint256 in range(a.count, bound=16):
        if account_words._id_at(a.heads, tail, i) == instrument:
            moved: uint256 = account_words._id_at(a.heads, tail, last)
            a.heads, tail = account_words._with_id(a.heads, tail, i, moved)
            break
    a.heads, tail = account_words._with_id(a.heads, tail, last, 0)
    if a.count > 2:
        self._tails[account] = tail
    a.count = last
    self._positions[account][instrument] = [0, 0]
    self._store_cash(account, a, cash)


# ---------------------------------------------------------------- cash


@internal
@view
def _cash_now(account: bytes32, cash: int256) -> int256:
    """
    @notice Cash less the interest that debt has run up to this block
    """
    if cash >= 0:
        return cash
    return cash - convert(staticcall DEBTS.owed(account, convert(-cash, uint256)), int256)


@internal
def _store_cash(account: bytes32, a_before: account_words.Account, change: int256) -> int256:
    """
    @notice Store an account with its cash changed; interest of debt leaves it on the way.
    @return the cash after, WAD
    """
    a: account_words.Account = a_before
    a.cash += change
    if a.cash < 0 or a_before.cash < 0:
        pool: int256 = 0
        insurance: int256 = 0
        a.cash, pool, insurance = extcall DEBTS.change(
            account, a_before.cash, change, a.count != 0 or a.collateral != 0
        )
        if pool != 0 or insurance != 0:
            extcall MARKETS.change_lines(pool, insurance)
    self._accounts[account] = account_words._pack(a)
    return a.cash


@internal
def _accrue_debt():
    passed_on: int256 = extcall DEBTS.accrue()
    if passed_on != 0:
        extcall MARKETS.change_lines(-passed_on, passed_on)


@internal
def _store_flags(account: bytes32, a: account_words.Account):
    self._accounts[account] = account_words._pack(a)
    log IClearinghouse.BookFlagsChanged(
        account=account,
        mode=account_words._mode(account, a.mode),
        collateral=a.collateral,
        called=a.called,
        deadline=self._tails[account] >> account_words.DEADLINE_SHIFT,
    )


@internal
def _credit(account: bytes32, amount: int256, cause: uint256):
    a: account_words.Account = account_words._unpack(self._accounts[account])
    a.cash = self._store_cash(account, a, amount)
    self._log_cash(account, cause, amount, a)


@internal
def _absorb(account: bytes32, instrument: uint256, lost: int256):
    """
    @notice Have paid what a bare account is short of; of one that is not bare yet remember
            what its position has lost.
    @param instrument that was just closed by force; 0: none
    @param lost WAD, since entry: > 0 by a long, < 0 by a short
    """
    a: account_words.Account = account_words._unpack(self._accounts[account])
    bare: bool = a.count == 0
    worth: int256 = 0
    if bare and a.collateral != 0:  # to be sold first, but for dust that anybody may have sent
        worth = convert((staticcall VAULT.value(account, a.collateral, LEVEL_ANY))[0], int256)
        bare = worth < DUST
        if bare:
            worth = 0
    if instrument == 0 and not bare:
        return
    short: int256 = max(-self._cash_now(account, a.cash) - worth, 0)
    paid: uint256 = extcall MARKETS.absorb(
        account, instrument, lost, convert(short, uint256), bare
    )
    if paid != 0:
        a.cash = self._store_cash(account, a, convert(paid, int256))
        self._log_cash(account, CASH_DEFICIT, convert(paid, int256), a)


@internal
def _pay(receiver: address, amount: int256, cause: uint256):
    """
    @notice Credit the cross bucket of somebody who worked
    """
    if amount > 0:
        self._credit(account_words._cross_bucket(receiver), amount, cause)


@internal
def _debit(account: bytes32, amount_native: uint256, cause: uint256):
    """
    @notice Take cash that may leave (docs/SPEC.md 2.5, 2.6)
    """
    assert amount_native > 0, "account: nothing to move"
    amount: int256 = convert(amount_native * SCALE, int256)
    a: account_words.Account = account_words._unpack(self._accounts[account])
    a.cash = self._store_cash(account, a, -amount)
    if a.count != 0 or a.cash < convert(a.reserved, int256):
        self._check_free(account)
    self._log_cash(account, cause, -amount, a)


@internal
def _pull(payer: address, amount_native: uint256):
    assert extcall SETTLEMENT_TOKEN.transferFrom(
        payer, self, amount_native, default_return_value=True
    ), "token: transfer failed"


@internal
def _push(receiver: address, amount_native: uint256):
    assert extcall SETTLEMENT_TOKEN.transfer(
        receiver, amount_native, default_return_value=True
    ), "token: transfer failed"


# ---------------------------------------------------------------- events


@internal
def _log_cash(account: bytes32, cause: uint256, amount: int256, a: account_words.Account):
    log IClearinghouse.CashChanged(
        account=account, cause=cause, amount=amount, cash=a.cash, reserved=a.reserved
    )


@internal
def _log_position(
    account: bytes32, instrument: uint256, cause: uint256, o: IMarkets.Outcome
):
    word: uint256 = self._accounts[account]
    log IClearinghouse.PositionChanged(
        account=account,
        instrument=instrument,
        cause=cause,
        size_delta=o.delta,
        fill_notional=o.cost,
        fee=o.fee,
        owed=o.owed,
        size=o.size,
        notional=o.notional,
        index=o.settled,
        cash=words._signed(word, 0, 112),
        reserved=words._unsigned(word, 112, 96),
    )
