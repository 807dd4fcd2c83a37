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
from contracts.modules import words

implements: IVault
initializes: ownable

exports: (ownable.owner, ownable.transfer_ownership)

PPM: constant(uint256) = 10**6
MAX_TOKENS: constant(uint256) = 8
MAX_DECIMALS: constant(uint256) = 18
MAX_CAP: constant(uint256) = 2**112 - 1           # times price < 2^116 and 10^6 stays below 2^256
MAX_HAIRCUT_PPM: constant(uint256) = 10**6        # 100 %: held, but counts for nothing
MAX_HAIRCUT_RISE_PPM: constant(uint256) = 50_000  # 5 points a day, so that owners can follow
HAIRCUT_PERIOD: constant(uint256) = 86_400

LEVEL_ANY: constant(uint256) = 0

CAUSE_DEPOSIT: constant(uint256) = 1
CAUSE_WITHDRAWAL: constant(uint256) = 2
CAUSE_MOVE: constant(uint256) = 3
CAUSE_SEIZURE: constant(uint256) = 4

CLEARINGHOUSE: public(immutable(IClearinghouse))
LIQUIDATOR: public(immutable(address))
ORACLE_HUB: public(immutable(IOracleHub))

# What valuing a token needs, in one word: feed 16 | decimals 8 | haircut 24 | raised_at 40
struct Token:
    feed: uint256
    decimals: uint256
    haircut_ppm: uint256
    raised_at: uint256    # unix seconds, when the haircut last rose


_tokens: DynArray[address, MAX_TOKENS]                     # place i: bit i of the mask
_places: HashMap[address, uint256]                         # 1 + place; 0: not listed
_terms: uint256[MAX_TOKENS]                                # struct Token
_supplies: uint256[MAX_TOKENS]                             # total 128 | cap 128, native
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
    @param haircut_ppm 0 to 1,000,000
    @param cap native, of all accounts together
    @param probe native, > 0
    @custom:reverts ownable: caller is not the owner; vault: token listed already;
                    vault: too many tokens; vault: no such feed; vault: haircut out of range;
                    vault: cap out of range; vault: decimals above 18; vault: probe is zero;
                    vault: transfer failed; vault: token keeps a fee
    """
    ownable._check_owner()
    place: uint256 = len(self._tokens)
    assert self._places[token] == 0, "vault: token listed already"
    assert place < MAX_TOKENS, "vault: too many tokens"
    assert feed != 0 and feed <= staticcall ORACLE_HUB.feed_count(), "vault: no such feed"
    assert haircut_ppm <= MAX_HAIRCUT_PPM, "vault: haircut out of range"
    assert cap <= MAX_CAP, "vault: cap out of range"
    decimals: uint256 = convert(staticcall IERC20Detailed(token).decimals(), uint256)
    assert decimals <= MAX_DECIMALS, "vault: decimals above 18"
    self._probe(token, probe)

    self._tokens.append(token)
    self._places[token] = place + 1
    self._store_terms(
        place, Token(feed=feed, decimals=decimals, haircut_ppm=haircut_ppm, raised_at=0)
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
    @notice Change what is taken off a token's value. It rises by at most 5 points a day,
            because a rise can take an account below its maintenance.
    @custom:reverts ownable: caller is not the owner; vault: token not listed;
                    vault: haircut out of range; vault: haircut rises too fast
    """
    ownable._check_owner()
    assert haircut_ppm <= MAX_HAIRCUT_PPM, "vault: haircut out of range"
    place: uint256 = self._place(token)
    t: Token = self._load_terms(place)
    if haircut_ppm > t.haircut_ppm:
        assert (
            haircut_ppm - t.haircut_ppm <= MAX_HAIRCUT_RISE_PPM
            and block.timestamp >= t.raised_at + HAIRCUT_PERIOD
        ), "vault: haircut rises too fast"
        t.raised_at = block.timestamp
    t.haircut_ppm = haircut_ppm
    self._store_terms(place, t)
    log IVault.HaircutChanged(token=token, haircut_ppm=haircut_ppm)


@external
def set_cap(token: address, cap: uint256):
    """
    @notice Change what all accounts together may hold of a token. Below what they hold it
            stops deposits and nothing else.
    @param cap native, 0 to 2^112 - 1
    @custom:reverts ownable: caller is not the owner; vault: token not listed;
                    vault: cap out of range
    """
    ownable._check_owner()
    assert cap <= MAX_CAP, "vault: cap out of range"
    place: uint256 = self._place(token)
    self._store_supply(place, self._total(place), cap)
    log IVault.CapChanged(token=token, cap=cap)


# ---------------------------------------------------------------- views


@external
@view
@reentrant
def value(account: bytes32, mask: uint256, level: uint256) -> (uint256, uint256):
    """
    @notice What an account's collateral counts for (docs/SPEC.md 7.9). Initial margin counts
            it like maintenance.
    @dev The Clearinghouse asks in the middle of `withdraw` and `move`, when the books are
         closed already; hence no lock.
    @param mask bit i set: the account holds some of token i
    @param level freshness that the prices must have (IOracleHub); at 0 a token without a price
           counts for nothing
    @return (maintenance value, initial value), WAD, each token rounded down
    @custom:reverts oracle: ...
    """
    worth: uint256 = self._value(account, mask, level, 0, 0)
    return worth, worth


@external
@view
@reentrant
def value_at(account: bytes32, mask: uint256, feed: uint256, price: uint256) -> uint256:
    """
    @notice What collateral would count for, were one feed's price another one.
    @param feed the one whose stored price is replaced; 0: none
    @param price WAD, in its place
    @return WAD, each token rounded down
    """
    return self._value(account, mask, LEVEL_ANY, feed, price)


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
        haircut_ppm=t.haircut_ppm,
        place=place,
        cap=self._cap(place),
        total=self._total(place),
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
) -> uint256:
    """
    @notice Collateral after haircuts, with a WAD price in the place of one feed's stored one. At
            level 0, which no act asks, a token whose feed has no price yet counts for nothing.
    """
    if mask == 0:
        return 0
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
    for i: uint256 in range(len(places), bound=MAX_TOKENS):
        index: uint256 = quotes._price(prices[i])
        if feeds[i] == feed:
            index = price
        worth += (
            self._balances[account][places[i]]
            * index
            * (PPM - held[i].haircut_ppm)
            // (PPM * 10 ** held[i].decimals)
        )
    return worth


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
        haircut_ppm=words._unsigned(word, 24, 24),
        raised_at=words._unsigned(word, 48, 40),
    )


@internal
def _store_terms(place: uint256, t: Token):
    self._terms[place] = (
        words._put_unsigned(t.feed, 0, 16)
        | words._put_unsigned(t.decimals, 16, 8)
        | words._put_unsigned(t.haircut_ppm, 24, 24)
        | words._put_unsigned(t.raised_at, 48, 40)
    )
