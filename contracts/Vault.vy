# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Vault
@notice Holds the collateral tokens of all accounts and says what they count for. Anyone adds
        collateral to an account; its owner takes it back as far as margin allows; the
        Liquidator may sell it to whoever pays the account's debt.
@dev What is credited is the amount sent, never a difference of balances: a listing proves once
     that a token arrives whole, and nothing sent without a call is ever counted. Every act ends
     with its one token transfer, so a token that calls back finds the books closed. Nothing is
     ever sent to a liquidated owner. It trusts the Clearinghouse, the Liquidator, the OracleHub.
@custom:units amounts in each token's own decimals; values and prices WAD; ppm = 10^-6
@custom:signs in events amount > 0 goes to the account
@custom:rounding values down
@custom:halt set a token's cap to zero: deposits stop, withdrawals never do
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from snekmate.auth import ownable

from contracts.interfaces import IClearinghouse
from contracts.interfaces import IOracleHub
from contracts.interfaces import IVault
from contracts.modules import account_words
from contracts.modules import quotes
from contracts.modules import stewardship
from contracts.modules import words

implements: IVault
initializes: ownable
initializes: stewardship[ownable := ownable]

exports: (ownable.owner, ownable.transfer_ownership)
exports: (stewardship.steward, stewardship.set_steward)

PPM: constant(uint256) = 10**6
MAX_TOKENS: constant(uint256) = 8
MAX_DECIMALS: constant(uint256) = 18
MAX_CAP: constant(uint256) = 2**112 - 1           # times price < 2^116 and 10^6 stays below 2^256
MAX_HAIRCUT_PPM: constant(uint256) = 10**6        # 100 %: held, but counts for nothing
RAMP_PPM: constant(uint256) = 50_000              # 5 points a day, so that owners can follow
DAY: constant(uint256) = 86_400
MAX_DISCOUNT_PPM: constant(uint256) = 200_000

LEVEL_ANY: constant(uint256) = 0

CAUSE_DEPOSIT: constant(uint256) = 1
CAUSE_WITHDRAWAL: constant(uint256) = 2
CAUSE_MOVE: constant(uint256) = 3
CAUSE_SEIZURE: constant(uint256) = 4

CLEARINGHOUSE: public(immutable(IClearinghouse))
LIQUIDATOR: public(immutable(address))
ORACLE_HUB: public(immutable(IOracleHub))

# What valuing a token needs, in one word: feed 16 | decimals 8 | from 24 | target 24 | since 40
# | slope 24
struct Token:
    feed: uint256
    decimals: uint256
    from_ppm: uint256     # the base haircut when it was last changed
    target_ppm: uint256   # where it has been going since
    since: uint256        # unix seconds
    slope_ppm: uint256    # more for new risk, when all that the cap allows is held


_tokens: DynArray[address, MAX_TOKENS]                     # place i: bit i of the mask
_places: HashMap[address, uint256]                         # 1 + place; 0: not listed
_terms: uint256[MAX_TOKENS]                                # struct Token
_supplies: uint256[MAX_TOKENS]                             # total 128 | cap 128, native
sale_discount_ppm: public(reentrant(uint256))              # most off the price, in a debt sale
_balances: HashMap[bytes32, HashMap[uint256, uint256]]     # account, place: native


@deploy
def __init__(
    owner: address, clearinghouse: IClearinghouse, liquidator: address, oracle_hub: IOracleHub
):
    ownable.__init__()
    ownable._transfer_ownership(owner)
    CLEARINGHOUSE = clearinghouse
    LIQUIDATOR = liquidator
    ORACLE_HUB = oracle_hub


# ---------------------------------------------------------------- owners of accounts


@external
def deposit(account: bytes32, token: address, amount: uint256):
    """
    @notice Add collateral to an account; anyone may.
    @param amount native, > 0
    @custom:reverts vault: token not listed; vault: amount is zero; vault: cap reached;
                    vault: transfer failed; account: no owner
    """
    assert amount != 0, "vault: amount is zero"
    place: uint256 = self._place(token)
    total: uint256 = self._total(place)
    cap: uint256 = self._cap(place)
    assert amount <= cap and total + amount <= cap, "vault: cap reached"
    self._store_supply(place, total + amount, cap)
    held: uint256 = self._balances[account][place]
    self._store_balance(account, token, place, held, held + amount, CAUSE_DEPOSIT, total + amount)
    assert extcall IERC20(token).transferFrom(
        msg.sender, self, amount, default_return_value=True
    ), "vault: transfer failed"


@external
def withdraw(account: bytes32, token: address, amount: uint256, receiver: address):
    """
    @notice Send collateral of an account to a receiver, as far as its margin allows.
    @param amount native, > 0
    @custom:reverts account: not the owner; vault: token not listed; vault: amount is zero;
                    vault: balance too small; vault: transfer failed;
                    and those of Clearinghouse.require_free
    """
    assert account_words._owner(account) == msg.sender, "account: not the owner"
    self._release(account, token, amount, CAUSE_WITHDRAWAL)
    assert staticcall CLEARINGHOUSE.require_free(account)
    self._send(token, receiver, amount)


@external
def move(source: bytes32, target: bytes32, token: address, amount: uint256):
    """
    @notice Move collateral between two buckets of one owner; the source is checked as in a
            withdrawal.
    @param amount native, > 0
    @custom:reverts account: not the owner; account: same bucket; vault: token not listed;
                    vault: amount is zero; vault: balance too small;
                    and those of Clearinghouse.require_free
    """
    assert account_words._owner(source) == msg.sender, "account: not the owner"
    assert account_words._owner(target) == msg.sender, "account: not the owner"
    assert source != target, "account: same bucket"
    assert amount != 0, "vault: amount is zero"
    place: uint256 = self._place(token)
    total: uint256 = self._total(place)
    given: uint256 = self._balances[source][place]
    assert amount <= given, "vault: balance too small"
    self._store_balance(source, token, place, given, given - amount, CAUSE_MOVE, total)
    held: uint256 = self._balances[target][place]
    self._store_balance(target, token, place, held, held + amount, CAUSE_MOVE, total)
    assert staticcall CLEARINGHOUSE.require_free(source)


# ---------------------------------------------------------------- Liquidator


@external
def seize(account: bytes32, token: address, amount: uint256, receiver: address):
    """
    @notice Send collateral of an account to the buyer of its debt.
    @custom:reverts vault: only liquidator; vault: token not listed; vault: amount is zero;
                    vault: balance too small; vault: transfer failed
    """
    assert msg.sender == LIQUIDATOR, "vault: only liquidator"
    self._release(account, token, amount, CAUSE_SEIZURE)
    self._send(token, receiver, amount)


# ---------------------------------------------------------------- governor


@external
def list_token(token: address, feed: uint256, haircut_ppm: uint256, cap: uint256, probe: uint256):
    """
    @notice Accept a token as collateral, for ever: its place is a bit of every account.
    @dev The caller lends `probe` units (approved before), which come and go at once: a token
         that takes a fee or keeps something back shows here, and here alone balances are read.
    @param feed of its price in the OracleHub
    @param haircut_ppm the debt sale's discount to 1,000,000
    @param cap native, of all accounts together
    @param probe native, > 0
    @custom:reverts ownable: caller is not the owner; vault: token listed already;
                    vault: too many tokens; vault: no such feed; vault: haircut out of range;
                    vault: haircut below discount;
                    vault: cap out of range; vault: decimals above 18; vault: probe is zero;
                    vault: transfer failed; vault: token keeps a fee
    """
    ownable._check_owner()
    place: uint256 = len(self._tokens)
    assert self._places[token] == 0, "vault: token listed already"
    assert place < MAX_TOKENS, "vault: too many tokens"
    assert feed != 0 and feed <= staticcall ORACLE_HUB.feed_count(), "vault: no such feed"
    self._check_haircut(haircut_ppm)
    assert cap <= MAX_CAP, "vault: cap out of range"
    decimals: uint256 = convert(staticcall IERC20Detailed(token).decimals(), uint256)
    assert decimals <= MAX_DECIMALS, "vault: decimals above 18"
    self._probe(token, probe)

    self._tokens.append(token)
    self._places[token] = place + 1
    self._store_terms(
        place,
        Token(
            feed=feed,
            decimals=decimals,
            from_ppm=haircut_ppm,
            target_ppm=haircut_ppm,
            since=block.timestamp,
            slope_ppm=0,
        ),
    )
    self._store_supply(place, 0, cap)
    log IVault.TokenListed(
        token=token,
        place=place,
        feed=feed,
        decimals=decimals,
        haircut_ppm=haircut_ppm,
        cap=cap,
    )


@external
def set_haircut(token: address, haircut_ppm: uint256):
    """
    @notice Change what is taken off a token's value. For maintenance it goes there by 5 points
            a day, either way; for new risk a higher one counts at once (docs/SPEC.md 7.9).
    @param haircut_ppm the debt sale's discount to 1,000,000
    @custom:reverts ownable: caller is not the owner; vault: token not listed;
                    vault: haircut out of range; vault: haircut below discount
    """
    ownable._check_owner()
    self._check_haircut(haircut_ppm)
    place: uint256 = self._place(token)
    t: Token = self._load_terms(place)
    t.from_ppm = self._ramped(t)
    t.target_ppm = haircut_ppm
    t.since = block.timestamp
    self._store_terms(place, t)
    log IVault.HaircutChanged(token=token, from_ppm=t.from_ppm, target_ppm=haircut_ppm)


@external
def set_slope(token: address, slope_ppm: uint256):
    """
    @notice Change how much more is taken off for new risk as a token's cap fills up.
    @param slope_ppm at a full cap, 0 to 1,000,000
    @custom:reverts ownable: caller is not the owner; vault: token not listed;
                    vault: slope out of range
    """
    ownable._check_owner()
    assert slope_ppm <= PPM, "vault: slope out of range"
    place: uint256 = self._place(token)
    t: Token = self._load_terms(place)
    t.slope_ppm = slope_ppm
    self._store_terms(place, t)
    log IVault.SlopeChanged(token=token, slope_ppm=slope_ppm)


@external
def set_sale_discount(discount_ppm: uint256):
    """
    @notice Change the most that a debt sale takes off a token's price. A sale at a discount above
            the haircut would lower the debtor's equity, so no haircut may be below it.
    @param discount_ppm 0 to 200,000
    @custom:reverts ownable: caller is not the owner; vault: discount out of range;
                    vault: discount above haircut
    """
    ownable._check_owner()
    assert discount_ppm <= MAX_DISCOUNT_PPM, "vault: discount out of range"
    for place: uint256 in range(len(self._tokens), bound=MAX_TOKENS):
        t: Token = self._load_terms(place)
        lowest: uint256 = min(self._ramped(t), t.target_ppm)
        assert discount_ppm <= lowest, "vault: discount above haircut"
    self.sale_discount_ppm = discount_ppm
    log IVault.SaleDiscountChanged(discount_ppm=discount_ppm)


@external
def set_cap(token: address, cap: uint256):
    """
    @notice Change what all accounts together may hold of a token. Below what they hold it
            stops deposits and nothing else. The steward may lower it.
    @param cap native, 0 to 2^112 - 1
    @custom:reverts ownable: caller is not the owner; vault: token not listed;
                    vault: cap out of range
    """
    assert cap <= MAX_CAP, "vault: cap out of range"
    place: uint256 = self._place(token)
    stewardship._check(cap <= self._cap(place))
    self._store_supply(place, self._total(place), cap)
    log IVault.CapChanged(token=token, cap=cap)


# ---------------------------------------------------------------- views


@external
@view
@reentrant
def value(account: bytes32, mask: uint256, level: uint256) -> (uint256, uint256):
    """
    @notice What an account's collateral counts for (docs/SPEC.md 7.9).
    @dev The Clearinghouse asks in the middle of `withdraw` and `move`, when the books are
         closed already; hence no lock.
    @param mask bit i set: the account holds some of token i
    @param level freshness that the prices must have (IOracleHub); at 0 a token without a price
           counts for nothing
    @return (maintenance value, initial value), WAD, each token rounded down
    @custom:reverts oracle: ...
    """
    return self._value(account, mask, level, 0, 0)


@external
@view
@reentrant
def value_at(account: bytes32, mask: uint256, feed: uint256, price: uint256) -> uint256:
    """
    @notice What collateral would count for, were one feed's price another one.
    @param feed the one whose stored price is replaced; 0: none
    @param price WAD, in its place
    @return WAD, for maintenance, each token rounded down
    """
    return self._value(account, mask, LEVEL_ANY, feed, price)[0]


@external
@view
@reentrant
def held(account: bytes32, token: address) -> uint256:
    """
    @return native units of a token that an account holds; 0 for a token not listed
    """
    place: uint256 = self._places[token]
    if place == 0:
        return 0
    return self._balances[account][place - 1]


@external
@view
@reentrant
def listing(token: address) -> IVault.Listing:
    """
    @notice Terms of a token; all zero when it is not listed.
    """
    place: uint256 = self._places[token]
    if place == 0:
        return empty(IVault.Listing)
    place -= 1
    t: Token = self._load_terms(place)
    return IVault.Listing(
        feed=t.feed,
        decimals=t.decimals,
        haircut_ppm=self._ramped(t),
        place=place,
        cap=self._cap(place),
        total=self._total(place),
        from_ppm=t.from_ppm,
        target_ppm=t.target_ppm,
        since=t.since,
        slope_ppm=t.slope_ppm,
    )


@external
@view
@reentrant
def tokens() -> DynArray[address, MAX_TOKENS]:
    """
    @notice Listed tokens, in the order of the bits of the collateral mask.
    """
    return self._tokens


# ---------------------------------------------------------------- balances


@internal
@view
def _value(
    account: bytes32, mask: uint256, level: uint256, feed: uint256, price: uint256
) -> (uint256, uint256):
    """
    @notice Collateral after haircuts, with a WAD price in the place of one feed's stored one. At
            level 0, which no act asks, a token whose feed has no price yet counts for nothing.
    @return (maintenance value, initial value), WAD
    """
    if mask == 0:
        return 0, 0
    places: DynArray[uint256, MAX_TOKENS] = []
    held: DynArray[Token, MAX_TOKENS] = []
    feeds: DynArray[uint256, 16] = []
    for place: uint256 in range(MAX_TOKENS):
        if (mask >> place) & 1 == 1:
            t: Token = self._load_terms(place)
            if level == LEVEL_ANY and staticcall ORACLE_HUB.latest_slot(t.feed) == 0:
                continue
            places.append(place)
            held.append(t)
            feeds.append(t.feed)
    prices: DynArray[uint256, 16] = staticcall ORACLE_HUB.prices(feeds, level)
    worth: uint256 = 0
    worth_initial: uint256 = 0
    for i: uint256 in range(len(places), bound=MAX_TOKENS):
        index: uint256 = quotes._price(prices[i])
        if feeds[i] == feed:
            index = price
        gross: uint256 = self._balances[account][places[i]] * index
        unit: uint256 = PPM * 10 ** held[i].decimals
        haircut: uint256 = self._ramped(held[i])
        value: uint256 = gross * (PPM - haircut) // unit
        worth += value
        haircut_initial: uint256 = self._haircut_initial(held[i], haircut, places[i])
        if haircut_initial != haircut:
            value = gross * (PPM - haircut_initial) // unit
        worth_initial += value
    return worth, worth_initial


@internal
@view
def _ramped(t: Token) -> uint256:
    """
    @notice The base haircut now, on its way to the target by 5 points a day
    """
    if t.from_ppm == t.target_ppm:
        return t.target_ppm
    step: uint256 = RAMP_PPM * (block.timestamp - t.since) // DAY
    if t.from_ppm < t.target_ppm:
        return min(t.from_ppm + step, t.target_ppm)
    return t.from_ppm - min(step, t.from_ppm - t.target_ppm)


@internal
@view
def _haircut_initial(t: Token, ramped: uint256, place: uint256) -> uint256:
    """
    @notice What is taken off for new risk: the stricter of base and target, and the slope in what
            all accounts hold of the cap
    """
    haircut: uint256 = max(ramped, t.target_ppm)
    if t.slope_ppm != 0:
        supply: uint256 = self._supplies[place]
        total: uint256 = words._unsigned(supply, 0, 128)
        cap: uint256 = supply >> 128
        if total < cap:
            haircut += (t.slope_ppm * total + cap - 1) // cap
        else:
            haircut += t.slope_ppm
    return min(haircut, PPM)


@internal
@view
def _check_haircut(haircut_ppm: uint256):
    assert haircut_ppm <= MAX_HAIRCUT_PPM, "vault: haircut out of range"
    assert haircut_ppm >= self.sale_discount_ppm, "vault: haircut below discount"


@internal
def _release(account: bytes32, token: address, amount: uint256, cause: uint256):
    """
    @notice Take collateral of an account off the books, before it is sent.
    """
    assert amount != 0, "vault: amount is zero"
    place: uint256 = self._place(token)
    held: uint256 = self._balances[account][place]
    assert amount <= held, "vault: balance too small"
    total: uint256 = self._total(place) - amount
    self._store_supply(place, total, self._cap(place))
    self._store_balance(account, token, place, held, held - amount, cause, total)


@internal
def _store_balance(
    account: bytes32,
    token: address,
    place: uint256,
    before: uint256,
    after: uint256,
    cause: uint256,
    total: uint256,
):
    """
    @notice One balance, its bit in the account's mask when that changes, and the event.
    """
    self._balances[account][place] = after
    if before == 0 or after == 0:
        extcall CLEARINGHOUSE.set_collateral(account, self._mask(account))
    log IVault.CollateralChanged(
        account=account,
        token=token,
        cause=cause,
        amount=convert(after, int256) - convert(before, int256),
        balance=after,
        total=total,
    )


@internal
@view
def _mask(account: bytes32) -> uint256:
    """
    @notice Bit i set: the account holds some of token i
    """
    mask: uint256 = 0
    for place: uint256 in range(len(self._tokens), bound=MAX_TOKENS):
        if self._balances[account][place] != 0:
            mask |= 1 << place
    return mask


@internal
def _send(token: address, receiver: address, amount: uint256):
    assert extcall IERC20(token).transfer(
        receiver, amount, default_return_value=True
    ), "vault: transfer failed"


@internal
def _probe(token: address, amount: uint256):
    """
    @notice Borrow some of a token from the caller and give it back: both ways all must arrive.
    """
    assert amount != 0, "vault: probe is zero"
    ours: uint256 = staticcall IERC20(token).balanceOf(self)
    theirs: uint256 = staticcall IERC20(token).balanceOf(msg.sender)
    assert extcall IERC20(token).transferFrom(
        msg.sender, self, amount, default_return_value=True
    ), "vault: transfer failed"
    arrived: uint256 = staticcall IERC20(token).balanceOf(self)
    assert arrived == ours + amount, "vault: token keeps a fee"
    self._send(token, msg.sender, amount)
    left: uint256 = staticcall IERC20(token).balanceOf(self)
    returned: uint256 = staticcall IERC20(token).balanceOf(msg.sender)
    assert left == ours and returned == theirs, "vault: token keeps a fee"


# ---------------------------------------------------------------- words


@internal
@view
def _place(token: address) -> uint256:
    place: uint256 = self._places[token]
    assert place != 0, "vault: token not listed"
    return place - 1


@internal
@view
def _total(place: uint256) -> uint256:
    return words._unsigned(self._supplies[place], 0, 128)


@internal
@view
def _cap(place: uint256) -> uint256:
    return self._supplies[place] >> 128


@internal
def _store_supply(place: uint256, total: uint256, cap: uint256):
    self._supplies[place] = words._put_unsigned(total, 0, 128) | words._put_unsigned(cap, 128, 128)


@internal
@view
def _load_terms(place: uint256) -> Token:
    word: uint256 = self._terms[place]
    return Token(
        feed=words._unsigned(word, 0, 16),
        decimals=words._unsigned(word, 16, 8),
        from_ppm=words._unsigned(word, 24, 24),
        target_ppm=words._unsigned(word, 48, 24),
        since=words._unsigned(word, 72, 40),
        slope_ppm=words._unsigned(word, 112, 24),
    )


@internal
def _store_terms(place: uint256, t: Token):
    self._terms[place] = (
        words._put_unsigned(t.feed, 0, 16)
        | words._put_unsigned(t.decimals, 16, 8)
        | words._put_unsigned(t.from_ppm, 24, 24)
        | words._put_unsigned(t.target_ppm, 48, 24)
        | words._put_unsigned(t.since, 72, 40)
        | words._put_unsigned(t.slope_ppm, 112, 24)
    )
