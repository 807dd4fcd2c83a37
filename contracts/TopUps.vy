# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title TopUps
@notice Standing orders of owners: when a bucket's health falls below a line, move cash of bucket 0
        into it. Anyone executes them, at any time that the rule allows, for nothing.
@dev It can move cash between two buckets of one owner and nothing else: the Clearinghouse lets
     this contract, and checks bucket 0 as in a withdrawal. Every amount is the rule's, none the
     caller's, so a caller chooses nothing but the moment (docs/SPEC.md 13).
@custom:units health ppm of maintenance; amounts of rules micro-USD = 10^12 WAD; seconds
@custom:rounding what is missing up to a native unit; what is used of a budget up
@custom:halt none: a rule ends with its budget, or when its owner says so
"""

from contracts.interfaces import IClearinghouse
from contracts.modules import account_words
from contracts.modules import scan
from contracts.modules import words

PPM: constant(uint256) = 10**6
MICRO: constant(uint256) = 10**12
LEVEL_FRESH: constant(uint256) = 2
LEVEL_TIGHT: constant(uint256) = 3
MAX_HEALTH_PPM: constant(uint256) = 10_000_000   # ten times maintenance
MIN_INTERVAL: constant(uint256) = 60
MAX_INTERVAL: constant(uint256) = 30 * 86_400
LEAST_PART: constant(uint256) = 10               # a tenth of what is wanted, or nothing

CLEARINGHOUSE: public(immutable(IClearinghouse))

event RuleSet:
    account: indexed(bytes32)
    trigger_ppm: uint256
    target_ppm: uint256
    interval: uint256
    most: uint256
    budget: uint256


event ToppedUp:
    account: indexed(bytes32)
    executor: indexed(address)
    amount: uint256          # native, from bucket 0
    budget: uint256          # micro-USD, left


# one slot, from bit 0: trigger 24 | target 24 | interval 32 | last_at 40 | most 64 | budget 64
struct Rule:
    trigger_ppm: uint256   # of maintenance: equity below it is topped up
    target_ppm: uint256    # of maintenance: up to here
    interval: uint256      # seconds, at least, between two
    last_at: uint256       # unix seconds
    most: uint256          # micro-USD at once
    budget: uint256        # micro-USD in all; 0: no rule


_rules: HashMap[bytes32, uint256]


@deploy
def __init__(clearinghouse: IClearinghouse):
    CLEARINGHOUSE = clearinghouse


# ---------------------------------------------------------------- owners


@external
def set_rule(
    account: bytes32,
    trigger_ppm: uint256,
    target_ppm: uint256,
    interval: uint256,
    most: uint256,
    budget: uint256,
):
    """
    @notice Have a bucket topped up from bucket 0; a new rule replaces the old one.
    @param account not bucket 0
    @param trigger_ppm of maintenance, 1,000,000 or more
    @param target_ppm of maintenance, above the trigger, at most 10,000,000
    @param interval between two, 60 to 2,592,000 seconds
    @param most micro-USD at once, > 0
    @param budget micro-USD in all; 0 ends the rule
    @custom:reverts account: not the owner; topup: bucket 0 is the source; topup: out of range
    """
    assert account_words._owner(account) == msg.sender, "account: not the owner"
    assert account != account_words._cross_bucket(msg.sender), "topup: bucket 0 is the source"
    rule: Rule = empty(Rule)
    if budget != 0:
        assert (
            trigger_ppm >= PPM
            and trigger_ppm < target_ppm
            and target_ppm <= MAX_HEALTH_PPM
            and interval >= MIN_INTERVAL
            and interval <= MAX_INTERVAL
            and most > 0
            and most >> 64 == 0
            and budget >> 64 == 0
        ), "topup: out of range"
        rule = Rule(
            trigger_ppm=trigger_ppm,
            target_ppm=target_ppm,
            interval=interval,
            last_at=0,
            most=most,
            budget=budget,
        )
    self._store(account, rule)
    log RuleSet(
        account=account,
        trigger_ppm=rule.trigger_ppm,
        target_ppm=rule.target_ppm,
        interval=rule.interval,
        most=rule.most,
        budget=rule.budget,
    )


# ---------------------------------------------------------------- anyone


@external
def top_up(account: bytes32) -> uint256:
    """
    @notice Do what an owner's rule says for a bucket now.
    @return native units moved
    @custom:reverts topup: no rule; topup: too soon; topup: not needed; topup: too little free;
                    oracle: stale price; and what Clearinghouse.move_cash says
    """
    rule: Rule = self._load(account)
    assert rule.budget != 0, "topup: no rule"
    assert block.timestamp >= rule.last_at + rule.interval, "topup: too soon"
    s: IClearinghouse.Assessment = staticcall CLEARINGHOUSE.assess(account, LEVEL_FRESH)
    line: int256 = convert(rule.trigger_ppm * s.maintenance, int256)
    assert s.equity * convert(PPM, int256) < line, "topup: not needed"

    target: uint256 = scan._ceil_div(rule.target_ppm * s.maintenance, PPM)
    scale: uint256 = staticcall CLEARINGHOUSE.SCALE()
    missing: uint256 = convert(convert(target, int256) - s.equity, uint256)
    wanted: uint256 = min(
        scan._ceil_div(missing, scale), min(rule.most, rule.budget) * MICRO // scale
    )
    source: bytes32 = account_words._cross_bucket(account_words._owner(account))
    amount: uint256 = min(wanted, self._free(source) // scale)
    assert amount > 0 and amount * LEAST_PART >= wanted, "topup: too little free"

    rule.budget -= min(scan._ceil_div(amount * scale, MICRO), rule.budget)
    rule.last_at = block.timestamp
    self._store(account, rule)
    log ToppedUp(account=account, executor=msg.sender, amount=amount, budget=rule.budget)
    extcall CLEARINGHOUSE.move_cash(source, account, amount)
    return amount


# ---------------------------------------------------------------- views


@external
@view
@reentrant
def rule(account: bytes32) -> Rule:
    return self._load(account)


# ---------------------------------------------------------------- internals


@internal
@view
def _free(source: bytes32) -> uint256:
    """
    @notice Cash that may leave bucket 0 and that it need not borrow, WAD
    """
    a: account_words.Account = account_words._unpack(
        (staticcall CLEARINGHOUSE.account_word(source))[0]
    )
    reserved: int256 = convert(a.reserved, int256)
    free: int256 = a.cash - reserved
    if a.count != 0 and free > 0:
        s: IClearinghouse.Assessment = staticcall CLEARINGHOUSE.assess(source, LEVEL_TIGHT)
        free = min(
            min(free, s.equity_initial - convert(s.initial, int256) - reserved),
            s.cash - s.owed + convert(s.collateral_initial, int256) - reserved,
        )
    return convert(max(free, 0), uint256)


@internal
@view
def _load(account: bytes32) -> Rule:
    word: uint256 = self._rules[account]
    return Rule(
        trigger_ppm=words._unsigned(word, 0, 24),
        target_ppm=words._unsigned(word, 24, 24),
        interval=words._unsigned(word, 48, 32),
        last_at=words._unsigned(word, 80, 40),
        most=words._unsigned(word, 120, 64),
        budget=words._unsigned(word, 184, 64),
    )


@internal
def _store(account: bytes32, r: Rule):
    self._rules[account] = (
        r.trigger_ppm
        | (r.target_ppm << 24)
        | (r.interval << 48)
        | (r.last_at << 80)
        | (r.most << 120)
        | (r.budget << 184)
    )
