# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Prices in, prices out
@notice Holds one price per feed and a ring of past ones, each fixed by the first quorum of
        reporters (or the first reading of a source) that reached its slot. Anyone posts, all
        others read.
@dev Trust. Two quorums always share a reporter (the governor cannot set a quorum at or below
     half), so while each honest reporter signs one report per slot no slot has two truths.
     Fewer liars than half a quorum cannot move its median past an honest price, but they can
     widen it: one liar in a quorum moves what buys or sells fill at, by width_ppm at most, and
     any reporter of a quorum may withhold. A colluding quorum sets any price, and by an absurd
     `previous` can deny that slots existed, so that an order takes a later slot's price than it
     should. It cannot deny a slot that is stored: `previous` is lifted to the stored slot. Nor
     can it date a report ahead of the block.
@custom:units mantissa = price * 10^decimals of the feed, here and in PricePosted; views answer
        in WAD quote; slots and ages in seconds; confidence and width in ppm of the price
@custom:rounding a source's WAD price is cut to the feed's decimals, downwards
@custom:halt remove reporters or raise the quorum: prices age out, and what needs none goes on
"""

from snekmate.auth import ownable
from snekmate.utils import eip712_domain_separator as eip712

from contracts.interfaces import IOracleHub
from contracts.interfaces import IPriceSource
from contracts.modules import feed_words
from contracts.modules import quotes
from contracts.modules import reporters

implements: IOracleHub

initializes: ownable
initializes: eip712
initializes: reporters[ownable := ownable, eip712 := eip712]

exports: (
    reporters.quorum,
    reporters.reporter_number,
    reporters.all_reporters,
    reporters.add_reporter,
    reporters.remove_reporter,
    reporters.set_quorum,
)
exports: (ownable.owner, ownable.transfer_ownership, eip712.eip712Domain)

WAD_DECIMALS: constant(uint256) = 18
PPM: constant(uint256) = 10**6

MAX_FEEDS: constant(uint256) = 2**16 - 1
MAX_POSTS: constant(uint256) = 8       # feeds in one transaction

MAX_GRID: constant(uint256) = 3_600           # an hour
MIN_RING: constant(uint256) = 16              # slots
MAX_RING: constant(uint256) = 2**16 - 1
MAX_AGE: constant(uint256) = 7 * 86_400       # a week
MAX_CONF_LIMIT_PPM: constant(uint256) = 100_000  # 10 %
MAX_WIDTH_PPM: constant(uint256) = 100_000       # 10 %

LEVEL_ANY: constant(uint256) = 0
LEVEL_RECENT: constant(uint256) = 1
LEVEL_FRESH: constant(uint256) = 2
LEVEL_TIGHT: constant(uint256) = 3


struct Posting:
    feed: uint256
    slot: uint256
    previous: uint256
    reports: DynArray[reporters.SignedReport, reporters.MAX_QUORUM]


event PricePosted:
    feed: indexed(uint256)
    slot: uint256
    previous: uint256
    median: uint256  # mantissa
    high: uint256    # mantissa
    low: uint256     # mantissa
    conf_ppm: uint256


event FeedChanged:
    feed: indexed(uint256)
    config: IOracleHub.FeedConfig


feed_count: public(uint256)         # feeds are 1 to feed_count
states: HashMap[uint256, uint256]   # feed -> state word of modules/feed_words.vy
shapes: HashMap[uint256, uint256]   # feed -> shape word of modules/feed_words.vy
ring: HashMap[uint256, uint256]     # feed << 16 | place -> slot word of modules/quotes.vy


@deploy
def __init__(owner: address):
    """
    @param owner who may list feeds and reporters
    """
    ownable.__init__()
    ownable._transfer_ownership(owner)
    eip712.__init__("Ballast OracleHub", "1")


# posting. No call leaves the contract but to the ecrecover precompile, so no lock is paid for.


@external
@reentrant
def post(
    feed: uint256,
    slot: uint256,
    previous: uint256,
    reports: DynArray[reporters.SignedReport, reporters.MAX_QUORUM],
) -> bool:
    """
    @notice Fix the price of a slot by a quorum of signed reports.
    @param slot unix seconds, a multiple of the feed's grid
    @param previous the slot before it, as every reporter has signed
    @param reports exactly a quorum, in ascending order of price
    @return whether anything changed; a slot fixed before, or older than what its place in the
            ring holds, is ignored without a look at the reports
    @custom:reverts oracle: unknown feed, feed has a source, slot off the grid, slot in the
            future, previous not before slot, too few reports, too many reports, price is zero,
            reports not sorted, reports too wide, bad signature, not a reporter, reporter twice
    """
    return self._post(feed, slot, previous, reports)


@external
@reentrant
def post_many(postings: DynArray[Posting, MAX_POSTS]) -> uint256:
    """
    @notice Post for several feeds at once; one refusal refuses them all.
    @return how many changed anything
    """
    changed: uint256 = 0
    for posting: Posting in postings:
        if self._post(posting.feed, posting.slot, posting.previous, posting.reports):
            changed += 1
    return changed


@external
def pull(feed: uint256, hint: uint256) -> bool:
    """
    @notice Take a price from the feed's source, under the same rule as a quorum's.
    @param hint which answer, in the source's own terms; 0 for the newest
    @return whether anything changed
    @custom:reverts oracle: unknown feed, feed has no source, slot in the future, previous not
            before slot, price is zero, price too large; and what the source refuses
    """
    state: uint256 = self._listed_state(feed)
    source: address = feed_words._source(self.shapes[feed])
    assert source != empty(address), "oracle: feed has no source"

    price_wad: uint256 = 0
    conf_ppm: uint256 = 0
    slot: uint256 = 0
    previous: uint256 = 0
    price_wad, conf_ppm, slot, previous = staticcall IPriceSource(source).read(hint)
    self._check_slot(slot, previous, feed_words._grid(state))
    mantissa: uint256 = price_wad // feed_words._unit(state)
    assert mantissa != 0, "oracle: price is zero"
    assert mantissa <= quotes.MAX_MANTISSA, "oracle: price too large"

    key: uint256 = self._ring_key(feed, slot, state)
    if slot <= quotes._slot_time(self.ring[key]):
        return False
    conf_ppm = min(conf_ppm, quotes.MAX_CONF_PPM)
    self._fix(feed, state, key, slot, previous, mantissa, mantissa, mantissa, conf_ppm)
    return True


# reading


@external
@view
@reentrant
def price(feed: uint256, level: uint256) -> uint256:
    """
    @notice Stored price of one feed.
    @param level 0 any, 1 recent, 2 fresh, 3 fresh and tight
    @return quote word of modules/quotes.vy
    @custom:reverts oracle: unknown feed, no price, stale price, wide confidence
    """
    return self._quote(feed, level)


@external
@view
@reentrant
def prices(feeds: DynArray[uint256, 16], level: uint256) -> DynArray[uint256, 16]:
    """
    @notice Stored prices of several feeds, in the order asked; reverts as `price` does.
    """
    answer: DynArray[uint256, 16] = []
    for feed: uint256 in feeds:
        answer.append(self._quote(feed, level))
    return answer


@external
@view
@reentrant
def slot_price(feed: uint256, slot: uint256) -> (uint256, uint256, uint256, uint256):
    """
    @notice The quorum that fixed a slot.
    @return (high WAD, low WAD, median WAD, previous slot)
    @custom:reverts oracle: unknown feed, slot not in ring
    """
    state: uint256 = self._listed_state(feed)
    word: uint256 = self.ring[self._ring_key(feed, slot, state)]
    assert slot != 0 and quotes._slot_time(word) == slot, "oracle: slot not in ring"
    unit: uint256 = feed_words._unit(state)
    # mantissas below 2^56 times at most 10^18; a gap is no longer than its slot is late
    return (
        unsafe_mul(quotes._slot_high(word), unit),
        unsafe_mul(quotes._slot_low(word), unit),
        unsafe_mul(quotes._slot_median(word), unit),
        unsafe_sub(slot, quotes._slot_gap(word)),
    )


@external
@view
@reentrant
def slot_median(feed: uint256, slot: uint256) -> (uint256, uint256):
    """
    @notice What a slot says, and how surely.
    @return (median WAD, confidence ppm)
    @custom:reverts oracle: unknown feed, slot not in ring
    """
    state: uint256 = self._listed_state(feed)
    word: uint256 = self.ring[self._ring_key(feed, slot, state)]
    assert slot != 0 and quotes._slot_time(word) == slot, "oracle: slot not in ring"
    return quotes._slot_median(word) * feed_words._unit(state), quotes._slot_conf_ppm(word)


@external
@view
@reentrant
def has_slot(feed: uint256, due: uint256, slot: uint256) -> bool:
    """
    @notice Whether the ring holds this slot and it is the first at or after `due`.
    @dev A saturated gap claims less than was signed: it can say no, never a wrong yes.
    """
    state: uint256 = self.states[feed]
    if state == 0 or slot < due or slot == 0:
        return False
    word: uint256 = self.ring[self._ring_key(feed, slot, state)]
    return quotes._slot_time(word) == slot and slot - quotes._slot_gap(word) < due


@external
@view
@reentrant
def latest_slot(feed: uint256) -> uint256:
    """
    @return newest slot of a feed, unix seconds; 0 before its first price
    """
    return feed_words._slot(self.states[feed])


@external
@view
@reentrant
def state(feed: uint256) -> IOracleHub.FeedState:
    """
    @notice The stored price in plain fields; answers also when it is stale.
    @custom:reverts oracle: unknown feed
    """
    word: uint256 = self._listed_state(feed)
    slot: uint256 = feed_words._slot(word)
    if slot == 0:
        return empty(IOracleHub.FeedState)
    return IOracleHub.FeedState(
        price_wad=feed_words._median(word) * feed_words._unit(word),
        conf_ppm=feed_words._conf_ppm(word),
        slot=slot,
        previous=slot - feed_words._gap(word),
        age_seconds=block.timestamp - slot,
        level=self._level(word),
    )


@external
@view
@reentrant
def feed_config(feed: uint256) -> IOracleHub.FeedConfig:
    """
    @custom:reverts oracle: unknown feed
    """
    return self._config(self._listed_state(feed), self.shapes[feed])


# governance


@external
def add_feed(config: IOracleHub.FeedConfig) -> uint256:
    """
    @notice List a feed. Decimals, grid, ring length and kind stay as they are for ever: what is
            stored could not be read, or a slot could be fixed twice, after a change of them.
    @dev The ring should outlast the longest order window and the posting delay.
    @return its id, counted from 1
    @custom:reverts oracle: decimals above 18, grid out of range, ring out of range, grid of a
            source is 1, width of a source is 0, source has no code, age out of range,
            conf out of range, width out of range
    """
    ownable._check_owner()
    assert config.decimals <= WAD_DECIMALS, "oracle: decimals above 18"
    assert config.grid_seconds >= 1, "oracle: grid out of range"
    assert config.grid_seconds <= MAX_GRID, "oracle: grid out of range"
    assert config.ring_length >= MIN_RING, "oracle: ring out of range"
    assert config.ring_length <= MAX_RING, "oracle: ring out of range"
    if config.source != empty(address):
        assert config.source.is_contract, "oracle: source has no code"
        assert config.grid_seconds == 1, "oracle: grid of a source is 1"
    feed: uint256 = self.feed_count + 1
    assert feed <= MAX_FEEDS, "oracle: too many feeds"
    self.feed_count = feed
    self._set_config(feed, config)
    return feed


@external
def set_feed_limits(
    feed: uint256,
    max_age_seconds: uint256,
    max_age_recent_seconds: uint256,
    conf_max_ppm: uint256,
    width_ppm: uint256,
):
    """
    @notice How old, unsure and wide a feed's prices may be; the stored price stays.
    @custom:reverts oracle: unknown feed, age out of range, conf out of range, width out of
            range, width of a source is 0
    """
    ownable._check_owner()
    config: IOracleHub.FeedConfig = self._config(self._listed_state(feed), self.shapes[feed])
    config.max_age_seconds = max_age_seconds
    config.max_age_recent_seconds = max_age_recent_seconds
    config.conf_max_ppm = conf_max_ppm
    config.width_ppm = width_ppm
    self._set_config(feed, config)


@external
def set_feed_source(feed: uint256, source: address):
    """
    @notice Read a feed from another source; answers older than the stored one are ignored.
    @custom:reverts oracle: unknown feed, feed has no source, source has no code
    """
    ownable._check_owner()
    config: IOracleHub.FeedConfig = self._config(self._listed_state(feed), self.shapes[feed])
    assert config.source != empty(address), "oracle: feed has no source"
    assert source.is_contract, "oracle: source has no code"
    config.source = source
    self._set_config(feed, config)


# inside


@internal
def _post(
    feed: uint256,
    slot: uint256,
    previous: uint256,
    reports: DynArray[reporters.SignedReport, reporters.MAX_QUORUM],
) -> bool:
    state: uint256 = self._listed_state(feed)
    shape: uint256 = self.shapes[feed]
    assert feed_words._source(shape) == empty(address), "oracle: feed has a source"
    self._check_slot(slot, previous, feed_words._grid(state))

    key: uint256 = self._ring_key(feed, slot, state)
    if slot <= quotes._slot_time(self.ring[key]):
        return False
    median: uint256 = 0
    high: uint256 = 0
    low: uint256 = 0
    conf_ppm: uint256 = 0
    median, high, low, conf_ppm = reporters._verified(
        feed, slot, previous, reports, feed_words._width_ppm(shape)
    )
    self._fix(feed, state, key, slot, previous, median, high, low, conf_ppm)
    return True


@internal
def _fix(
    feed: uint256,
    state: uint256,
    key: uint256,
    slot: uint256,
    previous: uint256,
    median: uint256,
    high: uint256,
    low: uint256,
    conf_ppm: uint256,
):
    """
    @notice Write a slot into the ring, and into the state when it is the newest.
    @dev The caller has seen that the slot is newer than its ring entry. No entry is newer than
         the state, so a slot that changes the state always has its place in the ring.
    """
    newest: uint256 = feed_words._slot(state)
    first_before: uint256 = previous
    if newest < slot:
        # a slot that is stored did exist, whatever this report says of the time before it
        first_before = max(previous, newest)
    gap: uint256 = min(slot - first_before, quotes.MAX_GAP)
    self.ring[key] = quotes._pack_slot(median, high, low, conf_ppm, slot, gap)
    if newest < slot:
        self.states[feed] = feed_words._with_price(state, median, conf_ppm, slot, gap)
    log PricePosted(
        feed=feed,
        slot=slot,
        previous=slot - gap,
        median=median,
        high=high,
        low=low,
        conf_ppm=conf_ppm,
    )


@internal
@view
def _check_slot(slot: uint256, previous: uint256, grid: uint256):
    assert slot <= block.timestamp, "oracle: slot in the future"
    assert slot % grid == 0, "oracle: slot off the grid"
    assert previous < slot, "oracle: previous not before slot"


@internal
@view
def _quote(feed: uint256, level: uint256) -> uint256:
    word: uint256 = self.states[feed]
    slot: uint256 = feed_words._slot(word)
    if slot == 0:
        assert word != 0, "oracle: unknown feed"
        raise "oracle: no price"
    if level != LEVEL_ANY:
        limit: uint256 = feed_words._max_age(word)
        if level == LEVEL_RECENT:
            limit = feed_words._max_age_recent(word)
        # no slot is stored before its time
        assert unsafe_sub(block.timestamp, slot) <= limit, "oracle: stale price"
        if level >= LEVEL_TIGHT:
            tight: bool = feed_words._conf_ppm(word) <= feed_words._conf_max_ppm(word)
            assert tight, "oracle: wide confidence"
    return feed_words._quoted(word)


@internal
@view
def _level(word: uint256) -> uint256:
    """
    @notice The strictest level that a state word with a price passes now.
    """
    age: uint256 = block.timestamp - feed_words._slot(word)
    if age > feed_words._max_age_recent(word):
        return LEVEL_ANY
    if age > feed_words._max_age(word):
        return LEVEL_RECENT
    if feed_words._conf_ppm(word) > feed_words._conf_max_ppm(word):
        return LEVEL_FRESH
    return LEVEL_TIGHT


@internal
@pure
def _ring_key(feed: uint256, slot: uint256, state: uint256) -> uint256:
    return (feed << 16) | ((slot // feed_words._grid(state)) % feed_words._ring_length(state))


@internal
@view
def _listed_state(feed: uint256) -> uint256:
    word: uint256 = self.states[feed]
    assert word != 0, "oracle: unknown feed"
    return word


@internal
@pure
def _config(word: uint256, shape: uint256) -> IOracleHub.FeedConfig:
    return IOracleHub.FeedConfig(
        decimals=feed_words._decimals(word),
        grid_seconds=feed_words._grid(word),
        ring_length=feed_words._ring_length(word),
        max_age_seconds=feed_words._max_age(word),
        max_age_recent_seconds=feed_words._max_age_recent(word),
        conf_max_ppm=feed_words._conf_max_ppm(word),
        width_ppm=feed_words._width_ppm(shape),
        source=feed_words._source(shape),
    )


@internal
def _set_config(feed: uint256, config: IOracleHub.FeedConfig):
    """
    @notice Store what may change of a feed, within its bounds.
    """
    assert config.max_age_seconds >= 1, "oracle: age out of range"
    assert config.max_age_seconds <= config.max_age_recent_seconds, "oracle: age out of range"
    assert config.max_age_recent_seconds <= MAX_AGE, "oracle: age out of range"
    assert config.conf_max_ppm >= 1, "oracle: conf out of range"
    assert config.conf_max_ppm <= MAX_CONF_LIMIT_PPM, "oracle: conf out of range"
    if config.source == empty(address):
        assert config.width_ppm >= 1, "oracle: width out of range"
        assert config.width_ppm <= MAX_WIDTH_PPM, "oracle: width out of range"
    else:
        assert config.width_ppm == 0, "oracle: width of a source is 0"
    self.states[feed] = feed_words._with_limits(
        self.states[feed],
        config.decimals,
        config.max_age_seconds,
        config.max_age_recent_seconds,
        config.conf_max_ppm,
        config.grid_seconds,
        config.ring_length,
    )
    self.shapes[feed] = feed_words._shape(config.width_ppm, config.source)
    log FeedChanged(feed=feed, config=config)
