# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Liquidator
@notice Margin calls with a grace, and liquidation of what is missing and not more. Anyone may
        call an account, liquidate it, buy its collateral, or ask for a deficit to be paid;
        a part of the penalty is the pay.
@dev Decides from one assessment of the Clearinghouse and acts through it, in the same call:
     `liquidatable` and the act are one function. Nothing of the victim's is ever called.
@custom:units money WAD unless `_native`; shares and rates ppm; times unix seconds
@custom:signs size > 0 long; a liquidation closes against it
@custom:rounding shortage up; collateral sold down
@custom:halt none: liquidation is what must always work
"""

from snekmate.auth import ownable

from contracts.interfaces import IClearinghouse
from contracts.interfaces import IInstruments
from contracts.interfaces import ILiquidator
from contracts.interfaces import IOracleHub
from contracts.interfaces import IRiskEngine
from contracts.interfaces import IVault
from contracts.modules import account_words
from contracts.modules import quotes
from contracts.modules import scan
from contracts.modules import terms as term_words

implements: ILiquidator
initializes: ownable

exports: (ownable.owner, ownable.transfer_ownership)

WAD: constant(uint256) = 10**18
PPM: constant(uint256) = 10**6
RATE: constant(uint256) = 10**12
LEVEL_FRESH: constant(uint256) = 2
MODE_ISOLATED: constant(uint256) = 1
MODE_PORTFOLIO: constant(uint256) = 3
MAX_BATCH: constant(uint256) = 64
MASK_32: constant(uint256) = 2**32 - 1

CLEARINGHOUSE: public(immutable(IClearinghouse))
VAULT: public(immutable(IVault))
INSTRUMENTS: public(immutable(IInstruments))
ORACLE_HUB: public(immutable(IOracleHub))

event MarginCalled:
    account: indexed(bytes32)
    health_ppm: int256      # equity / maintenance
    deadline: uint256


event CallCleared:
    account: indexed(bytes32)


event Liquidated:
    account: indexed(bytes32)
    instrument: indexed(uint256)
    liquidator: indexed(address)
    size: int256            # WAD, closed, against the position
    equity: int256          # WAD, before
    maintenance: uint256    # WAD, before
    charged: uint256        # WAD, fee and penalty
    reward: uint256         # WAD, the liquidator's part


event DebtSold:
    account: indexed(bytes32)
    token: indexed(address)
    buyer: indexed(address)
    paid: uint256           # WAD, into the account
    amount: uint256         # native, of the token


event CallTermsChanged:
    call_ppm: uint256
    hard_ppm: uint256
    isolated_grace: uint256
    cross_grace: uint256


event DebtDue:
    account: indexed(bytes32)
    since: uint256          # from then on its collateral is for sale; 0: no more


event DebtThresholdChanged:
    threshold_wad: uint256


event DebtTimingChanged:
    grace: uint256
    rise: uint256


struct CallTerms:
    call_ppm: uint256         # of the way from maintenance to plain initial margin
    hard_ppm: uint256         # of maintenance: below it no grace
    isolated_grace: uint256   # seconds
    cross_grace: uint256      # seconds


_call_terms: uint256               # call 24 | hard 24 | isolated grace 32 | cross grace 32
debt_threshold: public(uint256)    # WAD, above it a healthy debtor's collateral may be bought
_debt_timing: uint256              # grace 32 | rise 32, seconds
debt_due: public(HashMap[bytes32, uint256])   # since when it is for sale; 0: not marked


@deploy
def __init__(
    owner: address,
    clearinghouse: IClearinghouse,
    vault: IVault,
    instruments: IInstruments,
    oracle_hub: IOracleHub,
):
    ownable.__init__()
    ownable._transfer_ownership(owner)
    CLEARINGHOUSE = clearinghouse
    VAULT = vault
    INSTRUMENTS = instruments
    ORACLE_HUB = oracle_hub
    self._debt_timing = 3_600 << 32


# ---------------------------------------------------------------- anyone


@external
def call(account: bytes32):
    """
    @notice Call an account that is below its call line, or clear the call of one that is not.
    @custom:reverts call: nothing to change; oracle: stale price
    """
    s: IClearinghouse.Assessment = staticcall CLEARINGHOUSE.assess(account, LEVEL_FRESH)
    terms: CallTerms = self._load_terms()
    line: uint256 = self._call_line(s.maintenance, s.plain_initial, terms)
    below: bool = s.equity < convert(line, int256)
    assert below != s.called, "call: nothing to change"
    if not below:
        extcall CLEARINGHOUSE.set_call(account, False, 0)
        log CallCleared(account=account)
        return
    deadline: uint256 = block.timestamp + self._grace(s.mode, terms)
    extcall CLEARINGHOUSE.set_call(account, True, deadline)
    log MarginCalled(
        account=account,
        health_ppm=s.equity * convert(PPM, int256) // max(convert(s.maintenance, int256), 1),
        deadline=deadline,
    )


@external
def liquidate(account: bytes32, instrument: uint256, max_size: uint256) -> uint256:
    """
    @notice Close as much of a position as brings its account back to plain initial margin; of a
            portfolio above the hard level only a position whose close raises its health.
    @param max_size WAD, the most to close; any large number for all that is needed
    @return the liquidator's reward, WAD, as cash of bucket 0
    @custom:reverts liquidation: own account; liquidation: not liquidatable;
                    liquidation: nothing to close; liquidation: health would fall;
                    account: no such position; oracle: stale price
    """
    return self._liquidate(account, instrument, max_size, msg.sender)


@external
def liquidate_many(
    accounts: DynArray[bytes32, MAX_BATCH], instruments: DynArray[uint256, MAX_BATCH]
) -> uint256:
    """
    @notice Liquidate several; what is not liquidatable, or fails, is skipped.
    @param instruments the position to close, of each account
    @return how many were liquidated
    @custom:reverts liquidation: lengths differ
    """
    assert len(accounts) == len(instruments), "liquidation: lengths differ"
    done: uint256 = 0
    for i: uint256 in range(len(accounts), bound=MAX_BATCH):
        success: bool = raw_call(
            self,
            abi_encode(
                accounts[i],
                instruments[i],
                msg.sender,
                method_id=method_id("liquidate_item(bytes32,uint256,address)"),
            ),
            revert_on_failure=False,
        )
        if success:
            done += 1
    return done


@external
@reentrant
def liquidate_item(account: bytes32, instrument: uint256, liquidator: address):
    """
    @notice One item of a batch, in a call of its own so that it can fail alone.
    @custom:reverts liquidation: only a batch
    """
    assert msg.sender == self, "liquidation: only a batch"
    self._liquidate(account, instrument, max_value(uint256), liquidator)


@external
def settle_positions(accounts: DynArray[bytes32, MAX_BATCH], instrument: uint256):
    """
    @notice End positions of an instrument that settles, at its value, without order, premium or
            fee. Whoever asks, in whatever order, each ends with the same.
    @param accounts those without a position in it are skipped
    @custom:reverts instruments: not settling; market: losers settle first
    """
    assert (
        staticcall INSTRUMENTS.status(instrument) == term_words.STATUS_SETTLING
    ), "instruments: not settling"
    for account: bytes32 in accounts:
        size: int256 = (staticcall CLEARINGHOUSE.position(account, instrument))[0]
        if size != 0:
            extcall CLEARINGHOUSE.force_fill(account, instrument, -size, 0, empty(address))


@external
def absorb(account: bytes32):
    """
    @notice Have the deficit paid of an account that has neither position nor collateral left.
    """
    extcall CLEARINGHOUSE.absorb(account)


@external
def mark_debt(account: bytes32):
    """
    @notice Say that an account's debt is due, so that the time of its sale runs: at once for one
            that is liquidatable, after a grace for a healthy one above the threshold; or that it
            is due no more.
    @custom:reverts debt: nothing to change; oracle: stale price
    """
    s: IClearinghouse.Assessment = staticcall CLEARINGHOUSE.assess(account, LEVEL_FRESH)
    marked: uint256 = self.debt_due[account]
    since: uint256 = 0
    if s.cash < 0:
        if self._is_liquidatable(s):
            since = block.timestamp
        elif convert(-s.cash, uint256) > self.debt_threshold:
            since = block.timestamp + (self._debt_timing & MASK_32)
    sooner: bool = marked == 0 or since < marked
    assert sooner and since != marked, "debt: nothing to change"
    self._store_debt_due(account, since)


@external
def repay_with_collateral(
    account: bytes32, token: address, amount_native: uint256, minimum: uint256
) -> uint256:
    """
    @notice Pay debt of an account and take collateral for it, at the oracle price less a discount
            that rises with the time since the debt is due (docs/SPEC.md 8.7).
    @param amount_native settlement tokens to pay; no more is taken than the debt, to the next
           native unit, so that a small repayment just before cannot refuse the sale
    @param minimum native units of the token that the buyer wants at least; an account that has
           less than its price buys gives all it has, so that no dust keeps a deficit open
    @return native units of the token received
    @custom:reverts debt: not for sale; debt: in grace; debt: nothing to pay;
                    debt: too little collateral;
                    oracle: stale price
    """
    s: IClearinghouse.Assessment = staticcall CLEARINGHOUSE.assess(account, LEVEL_FRESH)
    assert s.cash < 0, "debt: not for sale"
    assert amount_native > 0, "debt: nothing to pay"
    debt: uint256 = convert(-s.cash, uint256)
    kept_ppm: uint256 = PPM - self._sale_discount(account, debt, self._is_liquidatable(s))
    whole: uint256 = scan._ceil_div(debt, staticcall CLEARINGHOUSE.SCALE())
    paid: uint256 = extcall CLEARINGHOUSE.repay(account, msg.sender, min(amount_native, whole))

    listing: IVault.Listing = staticcall VAULT.listing(token)
    price: uint256 = quotes._price(staticcall ORACLE_HUB.price(listing.feed, LEVEL_FRESH))
    amount: uint256 = min(
        paid * 10**listing.decimals * PPM // (price * kept_ppm),
        staticcall VAULT.held(account, token),
    )
    assert amount >= minimum and amount > 0, "debt: too little collateral"
    if paid >= debt and self.debt_due[account] != 0:
        self._store_debt_due(account, 0)
    extcall VAULT.seize(account, token, amount, msg.sender)
    log DebtSold(account=account, token=token, buyer=msg.sender, paid=paid, amount=amount)
    return amount


# ---------------------------------------------------------------- governor


@external
def set_call_terms(call_ppm: uint256, hard_ppm: uint256, isolated_grace: uint256, cross_grace: uint256):
    """
    @notice Where accounts are called, and how long they have.
    @param call_ppm 1 to 999,999
    @param hard_ppm 500,000 to 1,000,000
    @param isolated_grace 0 to 86,400 seconds
    @param cross_grace 0 to 86,400 seconds
    @custom:reverts liquidation: out of range
    """
    ownable._check_owner()
    assert (
        call_ppm > 0
        and call_ppm < PPM
        and hard_ppm >= PPM // 2
        and hard_ppm <= PPM
        and isolated_grace <= 86_400
        and cross_grace <= 86_400
    ), "liquidation: out of range"
    self._call_terms = (
        call_ppm | (hard_ppm << 24) | (isolated_grace << 48) | (cross_grace << 80)
    )
    log CallTermsChanged(
        call_ppm=call_ppm,
        hard_ppm=hard_ppm,
        isolated_grace=isolated_grace,
        cross_grace=cross_grace,
    )


@external
def set_debt_threshold(threshold_wad: uint256):
    """
    @notice The debt above which anyone may buy a healthy account's collateral.
    @param threshold_wad at most 10^9 USD
    @custom:reverts liquidation: out of range
    """
    ownable._check_owner()
    assert threshold_wad <= 10**27, "liquidation: out of range"
    self.debt_threshold = threshold_wad
    log DebtThresholdChanged(threshold_wad=threshold_wad)


@external
def set_debt_timing(grace: uint256, rise: uint256):
    """
    @notice How long a healthy debtor above the threshold has before the first sale, and in which
            time a sale's discount rises from 0 to its maximum.
    @param grace 0 to 604,800 seconds
    @param rise 60 to 604,800 seconds
    @custom:reverts liquidation: out of range
    """
    ownable._check_owner()
    assert grace <= 604_800 and rise >= 60 and rise <= 604_800, "liquidation: out of range"
    self._debt_timing = grace | (rise << 32)
    log DebtTimingChanged(grace=grace, rise=rise)


# ---------------------------------------------------------------- views


@external
@view
@reentrant
def call_terms() -> CallTerms:
    return self._load_terms()


@external
@view
@reentrant
def debt_timing() -> (uint256, uint256):
    """
    @return (grace of a healthy debtor, rise of the discount), seconds
    """
    return self._debt_timing & MASK_32, self._debt_timing >> 32


@external
@view
@reentrant
def call_line(maintenance: uint256, plain_initial: uint256) -> uint256:
    """
    @notice Equity below which an account with these requirements may be called, WAD.
    """
    return self._call_line(maintenance, plain_initial, self._load_terms())


@external
@view
@reentrant
def liquidatable(account: bytes32) -> bool:
    """
    @notice Whether `liquidate` would act now; False when a price it needs is not fresh.
    """
    success: bool = False
    answer: Bytes[448] = b""
    success, answer = raw_call(
        CLEARINGHOUSE.address,
        abi_encode(account, LEVEL_FRESH, method_id=method_id("assess(bytes32,uint256)")),
        max_outsize=448,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not success:
        return False
    return self._is_liquidatable(abi_decode(answer, IClearinghouse.Assessment))


@external
@view
@reentrant
def preview(account: bytes32, instrument: uint256) -> int256:
    """
    @notice What `liquidate` would close now, WAD, against the position; 0 when nothing.
    @custom:reverts account: no such position; oracle: stale price
    """
    s: IClearinghouse.Assessment = staticcall CLEARINGHOUSE.assess(account, LEVEL_FRESH)
    if not self._is_liquidatable(s):
        return 0
    return self._size(account, instrument, s, max_value(uint256))


# ---------------------------------------------------------------- internals


@internal
def _liquidate(
    account: bytes32, instrument: uint256, max_size: uint256, liquidator: address
) -> uint256:
    assert account_words._owner(account) != liquidator, "liquidation: own account"
    s: IClearinghouse.Assessment = staticcall CLEARINGHOUSE.assess(account, LEVEL_FRESH)
    assert self._is_liquidatable(s), "liquidation: not liquidatable"
    size: int256 = self._size(account, instrument, s, max_size)
    charged: uint256 = 0
    reward: uint256 = 0
    charged, reward = extcall CLEARINGHOUSE.force_fill(
        account, instrument, size, s.equity, liquidator
    )
    log Liquidated(
        account=account,
        instrument=instrument,
        liquidator=liquidator,
        size=size,
        equity=s.equity,
        maintenance=s.maintenance,
        charged=charged,
        reward=reward,
    )
    return reward


@internal
@view
def _is_liquidatable(s: IClearinghouse.Assessment) -> bool:
    """
    @notice docs/SPEC.md 8.2
    """
    if s.equity >= convert(s.maintenance, int256):
        return False
    if self._is_hard(s):
        return True
    terms: CallTerms = self._load_terms()
    if self._grace(s.mode, terms) == 0:
        return True
    return s.called and block.timestamp >= s.deadline


@internal
@view
def _is_hard(s: IClearinghouse.Assessment) -> bool:
    """
    @notice Whether health is below the level at which nobody has any grace
    """
    hard_ppm: uint256 = self._load_terms().hard_ppm
    return s.equity * convert(PPM, int256) < convert(hard_ppm * s.maintenance, int256)


@internal
@view
def _size(
    account: bytes32, instrument: uint256, s: IClearinghouse.Assessment, max_size: uint256
) -> int256:
    """
    @notice How much to close: the shortage over what a unit of closed value relieves; all of it
            when h < 1/2, when closing relieves less than it costs, or when too little would stay.
    @return WAD, against the position
    """
    risk: IRiskEngine = IRiskEngine(staticcall CLEARINGHOUSE.risk_engine())
    r: IRiskEngine.Relief = staticcall risk.relief(
        staticcall CLEARINGHOUSE.positions(account), instrument
    )
    held: uint256 = convert(abs(r.size), uint256)
    size: uint256 = held
    if s.equity * 2 >= convert(s.maintenance, int256) and r.rate > r.cost:
        shortage: uint256 = convert(convert(s.plain_initial, int256) - s.equity, uint256)
        size = min(
            held, scan._ceil_div(shortage * RATE * WAD, r.index * (r.rate - r.cost))
        )
        # a part of everything would lower h; a part of the shortage raises it
        size = min(size, max_size)
    if (held - size) * r.index < r.minimum * WAD:
        size = held
    assert size > 0 and size <= max_size, "liquidation: nothing to close"
    delta: int256 = convert(size, int256)
    if r.size > 0:
        delta = -delta
    if s.mode == MODE_PORTFOLIO and s.count > 1 and not self._is_hard(s):
        assert self._improves(risk, account, instrument, delta, s, r), "liquidation: health would fall"
    return delta


@internal
@view
def _improves(
    risk: IRiskEngine,
    account: bytes32,
    instrument: uint256,
    delta: int256,
    s: IClearinghouse.Assessment,
    r: IRiskEngine.Relief,
) -> bool:
    """
    @notice Whether health rises when a portfolio closes part of a position at the full price of
            a liquidation: what is closed may have hedged the rest.
    """
    after: DynArray[IRiskEngine.Position, 16] = staticcall CLEARINGHOUSE.positions(account)
    for i: uint256 in range(len(after), bound=16):
        if after[i].instrument == instrument:
            after[i].size += delta
            if after[i].size == 0:
                last: IRiskEngine.Position = after.pop()
                if i < len(after):
                    after[i] = last
            break
    needed: IRiskEngine.Requirement = staticcall risk.requirement(
        s.mode, after, LEVEL_FRESH, 0, 0
    )
    turnover: uint256 = scan._ceil_div(convert(abs(delta), uint256) * r.index, WAD)
    left: int256 = s.equity - convert(scan._ceil_div(turnover * r.cost, RATE), int256)
    return left * convert(s.maintenance, int256) > s.equity * convert(needed.maintenance, int256)


@internal
def _sale_discount(account: bytes32, debt: uint256, liquidatable: bool) -> uint256:
    """
    @notice What a sale takes off the price now, ppm; who is liquidatable is due from the first
            that asks on.
    """
    since: uint256 = self.debt_due[account]
    if liquidatable:
        if since == 0 or since > block.timestamp:
            since = block.timestamp
            self._store_debt_due(account, since)
    else:
        assert debt > self.debt_threshold, "debt: not for sale"
        assert since != 0 and since <= block.timestamp, "debt: in grace"
    rise: uint256 = self._debt_timing >> 32
    passed: uint256 = min(block.timestamp - since, rise)
    return staticcall VAULT.sale_discount_ppm() * passed // rise


@internal
def _store_debt_due(account: bytes32, since: uint256):
    self.debt_due[account] = since
    log DebtDue(account=account, since=since)


@internal
@pure
def _call_line(maintenance: uint256, plain_initial: uint256, terms: CallTerms) -> uint256:
    """
    @notice docs/SPEC.md 8.1
    """
    return maintenance + scan._ceil_div((plain_initial - maintenance) * terms.call_ppm, PPM)


@internal
@pure
def _grace(mode: uint256, terms: CallTerms) -> uint256:
    if mode == MODE_ISOLATED:
        return terms.isolated_grace
    return terms.cross_grace


@internal
@view
def _load_terms() -> CallTerms:
    word: uint256 = self._call_terms
    return CallTerms(
        call_ppm=word & 16777215,
        hard_ppm=(word >> 24) & 16777215,
        isolated_grace=(word >> 48) & 4294967295,
        cross_grace=word >> 80,
    )
