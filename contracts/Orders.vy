# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Orders
@notice Commitments to trade. The owner of an account commits, or his delegate, or anyone with
        his signature; after a delay the price of one determined slot fills the order, whoever
        executes it and whenever within the window. Nobody chooses among prices: not the trader,
        who cannot take a due order back, and not the executor, who can only name the first slot
        at or after the due time. Limits, stops and take-profits wait and hold nothing until
        anyone shows a slot that meets their price; what is triggered is a commitment of that
        block, so that a trigger decides that an order fills, never at what price.
@dev One word per live order; the order itself is in the event and is handed back by whoever
     ends it. The Clearinghouse reserves, fills and releases; nothing else is trusted.
@custom:units sizes, prices, money WAD; times unix seconds; ppm = 10^-6
@custom:signs size > 0 buys
@custom:rounding none here
@custom:halt halt the instrument in Instruments: orders that add risk are refused, those
             committed are released without charge, reductions still fill
"""

from snekmate.auth import ownable
from snekmate.utils import eip712_domain_separator as eip712

from contracts.interfaces import IClearinghouse
from contracts.interfaces import IInstruments
from contracts.interfaces import IOracleHub
from contracts.interfaces import IOrders
from contracts.modules import account_words
from contracts.modules import mandates
from contracts.modules import quotes
from contracts.modules import scan
from contracts.modules import signatures
from contracts.modules import signed_orders
from contracts.modules import terms
from contracts.modules import words

implements: IOrders
initializes: ownable
initializes: eip712
initializes: mandates
initializes: signed_orders[eip712 := eip712]

exports: (ownable.owner, ownable.transfer_ownership, eip712.eip712Domain)
exports: (mandates.set_delegate, mandates.mandate, mandates.mandate_used)
exports: (signed_orders.cancel_nonces, signed_orders.used_nonces)

FILLED: constant(uint256) = 0
FAILED_PRICE: constant(uint256) = 1
FAILED_MARGIN: constant(uint256) = 2
FAILED_LIMIT: constant(uint256) = 3
FAILED_REDUCTION: constant(uint256) = 4
EXPIRED: constant(uint256) = 5
CANCELLED: constant(uint256) = 6
FAILED_HALTED: constant(uint256) = 7
SKIPPED: constant(uint256) = 255   # only answered by execute_many: the order is still as it was

MARKET: constant(uint256) = 0
STOP: constant(uint256) = 2
TAKE_PROFIT: constant(uint256) = 3

# stages of a bracket: before 1 its exits wait, after 2 they are nothing any more
ENTERED: constant(uint256) = 1           # the entry has filled
LEFT: constant(uint256) = 2              # an exit was triggered

MAX_BATCH: constant(uint256) = 32
MAX_COMMITS: constant(uint256) = 8
MAX_REFUSAL: constant(uint256) = 132     # bytes of a revert with a text of up to 64

MIN_DELAY: constant(uint256) = 1         # a slot of the same second is known to whoever commits
MAX_DELAY: constant(uint256) = 300       # 5 minutes
MIN_WINDOW: constant(uint256) = 10
MAX_WINDOW: constant(uint256) = 3_600    # 1 hour
POSTING: constant(uint256) = 60          # seconds for a late report, or to expire an order
TRIGGER_AGE: constant(uint256) = 30      # seconds that the slot of a trigger may be old
MAX_SIZE: constant(int256) = 2**92       # WAD; below it nothing overflows
MAX_PRICE: constant(uint256) = 2**128    # WAD
MAX_FEE: constant(uint256) = 2**92       # WAD
MAX_BUFFER_PPM: constant(uint256) = 10**6
PPM: constant(uint256) = 10**6
LEVEL_ANY: constant(uint256) = 0

MASK_15: constant(uint256) = 2**15 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_92: constant(uint256) = 2**92 - 1

CLEARINGHOUSE: public(immutable(IClearinghouse))
INSTRUMENTS: public(immutable(IInstruments))
ORACLE_HUB: public(immutable(IOracleHub))

# hashes of the reverts by which the Clearinghouse ends an order
REFUSED_PRICE: immutable(bytes32)
REFUSED_MARGIN: immutable(bytes32)
REFUSED_LIMIT: immutable(bytes32)
REFUSED_REDUCTION: immutable(bytes32)
REFUSED_HALTED: immutable(bytes32)

event TimingChanged:
    delay_seconds: uint256
    window_seconds: uint256


event BufferChanged:
    buffer_ppm: uint256


struct Policy:
    delay_seconds: uint256    # from commit to due
    window_seconds: uint256   # from due to the last block time of a fill
    buffer_ppm: uint256       # of the margin added, reserved on top of it


# due 40 | window 15 | opening 1 | feed 16 | reserved 92 | lapse 92
# of a waiting order: 0 in 40 | placed 40
_commitments: HashMap[bytes32, uint256]
bracket_stage: public(HashMap[bytes32, HashMap[uint256, uint256]])  # account -> number -> stage
_policy: uint256                         # delay 32 | window 32 | buffer 32


@deploy
def __init__(
    owner: address,
    clearinghouse: IClearinghouse,
    instruments: IInstruments,
    oracle_hub: IOracleHub,
):
    """
    @notice Commits work once set_timing was called.
    """
    ownable.__init__()
    ownable._transfer_ownership(owner)
    eip712.__init__("Ballast Orders", "1")
    CLEARINGHOUSE = clearinghouse
    INSTRUMENTS = instruments
    ORACLE_HUB = oracle_hub
    REFUSED_PRICE = self._refusal("fill: price")
    REFUSED_MARGIN = self._refusal("fill: margin")
    REFUSED_LIMIT = self._refusal("fill: limit")
    REFUSED_REDUCTION = self._refusal("fill: nothing to reduce")
    REFUSED_HALTED = self._refusal("fill: halted")


# ---------------------------------------------------------------- owners of accounts


@external
def commit(order: IOrders.Order) -> bytes32:
    """
    @notice Promise to trade at the price of the first slot at or after now plus the delay; a
            limit, stop or take-profit: once somebody triggers it.
    @param order by the owner of its account or a delegate; size WAD, > 0 buys; acceptable WAD,
           0 any; of a waiting order twice the execution fee leaves the account now
    @return id of the order
    @custom:reverts account: not the owner; orders: figure out of range; orders: not of its kind;
                    orders: already committed; orders: bracket is used; orders: expired;
                    orders: no delay set; delegate: ...; and those of Clearinghouse.hold
    """
    return self._take(order, msg.sender, 0)


@external
def commit_many(orders: DynArray[IOrders.Order, MAX_COMMITS]) -> DynArray[bytes32, MAX_COMMITS]:
    """
    @notice Several at once, all or none: a bracket with its entry, say.
    @custom:reverts as commit
    """
    ids: DynArray[bytes32, MAX_COMMITS] = []
    for order: IOrders.Order in orders:
        ids.append(self._take(order, msg.sender, 0))
    return ids


@external
def cancel(order: IOrders.Order):
    """
    @notice Take an order back: free while it waits for its trigger or before it is due, for the
            lapse charge after its window; free at any time once its instrument has come to its
            end, where nothing fills.
    @dev In between a price may be known, and taking back would be an option. After the window
         `expire` may find that nothing is to be charged; the owner need not wait for it.
    @custom:reverts account: not the owner; delegate: ...; orders: no such order;
                    orders: due already
    """
    if account_words._owner(order.account) != msg.sender:
        mandates._check_scope(msg.sender, order.account, order.instrument)
    id: bytes32 = self._id(order)
    c: IOrders.Commitment = self._live(id)
    charge: uint256 = 0
    if c.due != 0 and block.timestamp >= c.due and not self._is_over(order.instrument):
        assert block.timestamp > c.deadline, "orders: due already"
        charge = c.lapse
    self._end(id, order, c, CANCELLED, 0, charge, empty(address))


# ---------------------------------------------------------------- anyone


@external
def relay_signed(
    order: IOrders.Order,
    relay_fee: uint256,
    deadline: uint256,
    signer: address,
    signature: Bytes[signatures.MAX_SIGNATURE],
) -> bytes32:
    """
    @notice Commit an order that its owner, or his delegate, has signed: a commitment of this
            block, whenever it was signed.
    @param relay_fee WAD, from the account to who brings it, as signed
    @param deadline unix seconds, the last moment to bring it, as signed
    @param signature r, s, v in 65 bytes, or what a wallet that is a contract understands
    @return id of the order
    @custom:reverts orders: signature is late; orders: nonce is used; orders: bad signature;
                    orders: figure out of range; and those of commit
    """
    signed_orders._accept(order, relay_fee, deadline, signer, signature)
    assert relay_fee < MAX_FEE, "orders: figure out of range"
    id: bytes32 = self._take(order, signer, relay_fee)
    if relay_fee != 0:
        extcall CLEARINGHOUSE.release(order.account, 0, 0, relay_fee, msg.sender)
    log IOrders.OrderRelayed(id=id, signer=signer, relayer=msg.sender, relay_fee=relay_fee)
    return id


@external
def trigger(order: IOrders.Order, slot: uint256):
    """
    @notice Show a price that a waiting order waits for: it becomes a commitment of this block,
            due after the delay like any other. Whoever triggers it is paid its execution fee.
    @dev The slot decides only that the order fills; at what price, a later slot does.
    @param slot of the instrument's feed, after the order was placed, at most 30 s old
    @custom:reverts orders: no such order; orders: triggered already; orders: expired;
                    orders: slot before the order; orders: slot too old; orders: trigger not met;
                    orders: entry not filled; orders: bracket is used; oracle: slot not in ring;
                    and those of Clearinghouse.hold
    """
    id: bytes32 = self._id(order)
    c: IOrders.Commitment = self._live(id)
    assert c.due == 0, "orders: triggered already"
    assert not self._is_expired(order), "orders: expired"
    assert slot > c.placed, "orders: slot before the order"
    assert slot + TRIGGER_AGE >= block.timestamp, "orders: slot too old"
    assert self._is_met(order, slot), "orders: trigger not met"
    if order.bracket != 0:
        stage: uint256 = self.bracket_stage[order.account][order.bracket]
        if order.reduce_only:
            assert stage != 0, "orders: entry not filled"
            assert stage == ENTERED, "orders: bracket is used"
            self.bracket_stage[order.account][order.bracket] = LEFT
        else:
            assert stage == 0, "orders: bracket is used"
    c = self._stamp(id, order, 0, self._load_policy())
    log IOrders.OrderTriggered(
        id=id,
        account=order.account,
        slot=slot,
        feed=c.feed,
        due=c.due,
        deadline=c.deadline,
        opening=c.opening,
        reserved=c.reserved,
        lapse=c.lapse,
        keeper=msg.sender,
    )
    if order.execution_fee != 0:
        extcall CLEARINGHOUSE.release(order.account, 0, 0, order.execution_fee, msg.sender)


@external
def execute(order: IOrders.Order, slot: uint256) -> uint256:
    """
    @notice Fill an order at its slot's price, or end it for the reason that it cannot.
    @param slot the first at or after the order's due time, of the instrument's feed
    @return 0 filled; 1 price, 2 margin, 3 limit, 4 nothing to reduce (charged); 7 halted (free
            for an order that opened when it was committed)
    @custom:reverts orders: no such order; orders: not triggered; orders: window is over;
                    orders: slot before due; orders: slot not the first; and those of the
                    OracleHub and of fill
    """
    id: bytes32 = self._id(order)
    c: IOrders.Commitment = self._live(id)
    assert c.due != 0, "orders: not triggered"
    assert block.timestamp <= c.deadline, "orders: window is over"
    status: uint256 = 0
    refusal: Bytes[MAX_REFUSAL] = b""
    status, refusal = self._try_fill(order, c, slot)
    if status == SKIPPED:
        raw_revert(refusal)
    self._settle(id, order, c, status, slot)
    return status


@external
def execute_many(
    orders: DynArray[IOrders.Order, MAX_BATCH], slots: DynArray[uint256, MAX_BATCH]
) -> DynArray[uint256, MAX_BATCH]:
    """
    @notice Execute several orders; one that cannot be executed is left as it is.
    @return status of each as `execute` gives it, 255 for one left alone
    @custom:reverts orders: lengths differ
    """
    assert len(orders) == len(slots), "orders: lengths differ"
    statuses: DynArray[uint256, MAX_BATCH] = []
    for i: uint256 in range(len(orders), bound=MAX_BATCH):
        id: bytes32 = self._id(orders[i])
        status: uint256 = SKIPPED
        c: IOrders.Commitment = self._unpack(self._commitments[id])
        if self._executable(c, slots[i]):
            refusal: Bytes[MAX_REFUSAL] = b""
            status, refusal = self._try_fill(orders[i], c, slots[i])
        if status != SKIPPED:
            self._settle(id, orders[i], c, status, slots[i])
        statuses.append(status)
    return statuses


@external
def expire(order: IOrders.Order, slot: uint256):
    """
    @notice End an order whose window is over. What it costs is no one's choice: the slot that
            the ring shows as the first at or after due decides. Within the window: the order
            could have filled, and its lapse charge goes to insurance. Later: it could not.
            On an instrument that has come to its end it is free, and no slot is asked for. One
            that waits ends free once it is expired or its bracket or its instrument is over.
    @param slot the first at or after the order's due time, of the instrument's feed; any for
           one that waits
    @custom:reverts orders: no such order; orders: window is open; orders: slot before due;
                    orders: slot not the first; orders: still waits; and those of the OracleHub
    """
    id: bytes32 = self._id(order)
    c: IOrders.Commitment = self._live(id)
    if c.due == 0:
        assert self._is_dead(order), "orders: still waits"
        self._end(id, order, c, EXPIRED, 0, 0, empty(address))
        return
    assert block.timestamp > c.deadline, "orders: window is open"
    charge: uint256 = 0
    if not self._is_over(order.instrument):
        price: uint256 = self._fill_index(order.size, c, slot)  # only that it exists counts
        if slot <= c.deadline:
            charge = c.lapse
    self._end(id, order, c, EXPIRED, slot, charge, empty(address))


# ---------------------------------------------------------------- governor


@external
def set_timing(delay_seconds: uint256, window_seconds: uint256):
    """
    @notice For orders committed from now on.
    @param delay_seconds 1 to 300, longer than reports are known ahead of their posting
    @param window_seconds 10 to 3600; with the delay and a minute to post in, no longer than the
           rings of slots reach back, or what an order costs would be forgotten before it is due
    @custom:reverts ownable: caller is not the owner; orders: delay out of range;
                    orders: window out of range; orders: window outlasts a ring
    """
    ownable._check_owner()
    assert MIN_DELAY <= delay_seconds and delay_seconds <= MAX_DELAY, "orders: delay out of range"
    assert (
        MIN_WINDOW <= window_seconds and window_seconds <= MAX_WINDOW
    ), "orders: window out of range"
    reach: uint256 = staticcall INSTRUMENTS.ring_seconds()
    assert delay_seconds + window_seconds + POSTING <= reach, "orders: window outlasts a ring"
    self._store_policy(delay_seconds, window_seconds, self._load_policy().buffer_ppm)
    log TimingChanged(delay_seconds=delay_seconds, window_seconds=window_seconds)


@external
def set_buffer(buffer_ppm: uint256):
    """
    @notice What an order reserves above the margin it adds, for the move until it fills.
    @param buffer_ppm of that margin, 0 to 1,000,000
    @custom:reverts ownable: caller is not the owner; orders: buffer out of range
    """
    ownable._check_owner()
    assert buffer_ppm <= MAX_BUFFER_PPM, "orders: buffer out of range"
    policy: Policy = self._load_policy()
    self._store_policy(policy.delay_seconds, policy.window_seconds, buffer_ppm)
    log BufferChanged(buffer_ppm=buffer_ppm)


# ---------------------------------------------------------------- views


@external
@view
def preview(order: IOrders.Order) -> (uint256, uint256, int256):
    """
    @notice What committing an order would hold; one that waits holds nothing but its fees.
    @return (reserved, lapse charge, margin missing: `commit` refuses when > 0), WAD
    @custom:reverts as commit, whoever asks, but for margin
    """
    policy: Policy = self._checked(self._id(order), order)
    if order.kind != MARKET:
        if order.execution_fee == 0:
            return 0, 0, 0
        return staticcall CLEARINGHOUSE.order_terms(
            order.account, order.instrument, 0, False, 2 * order.execution_fee, 0
        )
    return staticcall CLEARINGHOUSE.order_terms(
        order.account,
        order.instrument,
        order.size,
        order.reduce_only,
        order.execution_fee,
        policy.buffer_ppm,
    )


@external
@view
def order_id(order: IOrders.Order) -> bytes32:
    """
    @notice Id of an order on this chain and contract, whether it is committed or not.
    """
    return self._id(order)


@external
@view
def order_digest(order: IOrders.Order, relay_fee: uint256, deadline: uint256) -> bytes32:
    """
    @notice The 32 bytes that are signed for `relay_signed`, on this chain and contract.
    """
    return signed_orders._digest(order, relay_fee, deadline)


@external
@view
def commitment(id: bytes32) -> IOrders.Commitment:
    """
    @notice What is stored of a live order; all zero when there is none.
    """
    return self._unpack(self._commitments[id])


@external
@view
def executable(order: IOrders.Order, slot: uint256) -> bool:
    """
    @notice Whether `execute` would fill or end this order now, prices being fresh enough.
    """
    return self._executable(self._unpack(self._commitments[self._id(order)]), slot)


@external
@view
def policy() -> Policy:
    """
    @notice Delay, window and buffer of orders committed from now on.
    """
    return self._load_policy()


# ---------------------------------------------------------------- committing and ending


@internal
def _take(order: IOrders.Order, trader: address, relay_fee: uint256) -> bytes32:
    """
    @notice Commit an order on somebody's word.
    @param trader whose word it is: the owner's or his delegate's
    """
    id: bytes32 = self._id(order)
    policy: Policy = self._checked(id, order)
    if account_words._owner(order.account) != trader:
        self._delegated(order, trader, relay_fee)
    if order.kind != MARKET:
        self._place(id, order, relay_fee)
        return id
    c: IOrders.Commitment = self._stamp(id, order, order.execution_fee + relay_fee, policy)
    log IOrders.OrderCommitted(
        id=id,
        account=order.account,
        instrument=order.instrument,
        size=order.size,
        acceptable=order.acceptable,
        reduce_only=order.reduce_only,
        execution_fee=order.execution_fee,
        salt=order.salt,
        feed=c.feed,
        due=c.due,
        deadline=c.deadline,
        opening=c.opening,
        reserved=c.reserved,
        lapse=c.lapse,
        bracket=order.bracket,
    )
    return id


@internal
def _place(id: bytes32, order: IOrders.Order, relay_fee: uint256):
    """
    @notice Let an order wait for its trigger: its fees are put aside, nothing else is.
    """
    fees: uint256 = 2 * order.execution_fee + relay_fee
    if fees != 0:
        extcall CLEARINGHOUSE.hold(order.account, order.instrument, 0, False, fees, 0)
    self._commitments[id] = block.timestamp << 40
    log IOrders.OrderPlaced(
        id=id,
        account=order.account,
        instrument=order.instrument,
        size=order.size,
        acceptable=order.acceptable,
        reduce_only=order.reduce_only,
        execution_fee=order.execution_fee,
        salt=order.salt,
        kind=order.kind,
        trigger=order.trigger,
        expiry=order.expiry,
        bracket=order.bracket,
    )


@internal
def _stamp(
    id: bytes32, order: IOrders.Order, fee: uint256, policy: Policy
) -> IOrders.Commitment:
    """
    @notice Make an order a commitment of this block, with its reserve.
    @param fee WAD, to put into escrow
    """
    c: IOrders.Commitment = empty(IOrders.Commitment)
    c.due = block.timestamp + policy.delay_seconds
    c.deadline = c.due + policy.window_seconds
    c.reserved, c.lapse, c.feed, c.opening = extcall CLEARINGHOUSE.hold(
        order.account, order.instrument, order.size, order.reduce_only, fee, policy.buffer_ppm
    )
    self._commitments[id] = self._pack(c)
    return c


@internal
def _delegated(order: IOrders.Order, delegate: address, relay_fee: uint256):
    """
    @notice Take an order from a delegate, within his mandate. A waiting one counts at its
            trigger where that is above the stored price, and never outlives the mandate.
    """
    last: uint256 = mandates._check_scope(delegate, order.account, order.instrument)
    fees: uint256 = order.execution_fee + relay_fee
    if order.kind != MARKET:
        assert order.expiry != 0 and order.expiry <= last, "delegate: order outlives it"
        fees += order.execution_fee
    feed: uint256 = self._feed(order.instrument)
    price: uint256 = quotes._price(staticcall ORACLE_HUB.price(feed, LEVEL_ANY))
    notional: uint256 = convert(abs(order.size), uint256) * max(price, order.trigger)
    mandates._spend(
        account_words._owner(order.account), delegate, scan._ceil_div(notional, 10**18), fees
    )


@internal
@view
def _checked(id: bytes32, order: IOrders.Order) -> Policy:
    """
    @notice What an order must be before its margin is asked for
    @return the policy that it is committed under
    """
    assert (
        order.size < MAX_SIZE
        and order.size > -MAX_SIZE
        and order.size != 0
        and order.acceptable < MAX_PRICE
        and order.execution_fee < MAX_FEE
    ), "orders: figure out of range"
    if order.kind | order.trigger | order.expiry | order.bracket != 0:
        self._check_kind(order)
    assert self._commitments[id] == 0, "orders: already committed"
    policy: Policy = self._load_policy()
    assert policy.delay_seconds != 0, "orders: no delay set"
    return policy


@internal
@view
def _check_kind(order: IOrders.Order):
    """
    @notice What waits has a price to wait for; exits of a bracket wait.
    """
    assert order.kind <= TAKE_PROFIT and order.trigger < MAX_PRICE, "orders: figure out of range"
    waits: bool = order.kind != MARKET
    assert (
        waits == (order.trigger != 0)
        and (waits or order.expiry == 0)
        and (order.reduce_only or order.kind != TAKE_PROFIT)
        and (waits or order.bracket == 0 or not order.reduce_only)
    ), "orders: not of its kind"
    assert not self._is_expired(order), "orders: expired"
    if order.bracket != 0:
        stage: uint256 = self.bracket_stage[order.account][order.bracket]
        assert stage == 0 or (stage == ENTERED and order.reduce_only), "orders: bracket is used"
    assert not (waits and self._is_over(order.instrument)), "market: not open"


@internal
@view
def _is_expired(order: IOrders.Order) -> bool:
    return order.expiry != 0 and block.timestamp > order.expiry


@internal
@view
def _is_dead(order: IOrders.Order) -> bool:
    """
    @notice A waiting order that nothing can trigger any more
    """
    if self._is_expired(order) or self._is_over(order.instrument):
        return True
    if order.bracket == 0:
        return False
    stage: uint256 = self.bracket_stage[order.account][order.bracket]
    return stage == LEFT or (stage == ENTERED and not order.reduce_only)


@internal
@view
def _is_met(order: IOrders.Order, slot: uint256) -> bool:
    """
    @notice Whether a slot's median has reached the trigger by its confidence at least: a stop
            buys at or above it and sells at or below, a limit or take-profit the other way.
    """
    median: uint256 = 0
    conf_ppm: uint256 = 0
    median, conf_ppm = staticcall ORACLE_HUB.slot_median(self._feed(order.instrument), slot)
    if (order.kind == STOP) == (order.size > 0):
        return median * PPM >= order.trigger * PPM + median * conf_ppm
    return median * (PPM + conf_ppm) <= order.trigger * PPM


@internal
def _settle(
    id: bytes32, order: IOrders.Order, c: IOrders.Commitment, status: uint256, slot: uint256
):
    """
    @notice Follow up on what `fill` answered: what an owner can bring about costs the order, and
            that is everything but a halt and the instrument's end (docs/SPEC.md 6.4). A reduction
            can become an opening by moving the position away, so its halt is not free.
    """
    if status == FILLED:
        self._commitments[id] = 0
        if order.bracket != 0 and not order.reduce_only:
            if self.bracket_stage[order.account][order.bracket] == 0:
                self.bracket_stage[order.account][order.bracket] = ENTERED
        log IOrders.OrderEnded(
            id=id, account=order.account, status=FILLED, slot=slot, charge=0, executor=msg.sender
        )
    elif (status == FAILED_HALTED and c.opening) or self._is_over(order.instrument):
        self._end(id, order, c, status, slot, 0, empty(address))
    else:
        self._end(id, order, c, status, slot, c.lapse, msg.sender)


@internal
def _end(
    id: bytes32,
    order: IOrders.Order,
    c: IOrders.Commitment,
    status: uint256,
    slot: uint256,
    charge: uint256,
    executor: address,
):
    """
    @notice End an order unfilled.
    @param charge WAD, from the account to insurance
    @param executor who gets the execution fee; the empty address: back to the account
    """
    self._commitments[id] = 0
    log IOrders.OrderEnded(
        id=id,
        account=order.account,
        status=status,
        slot=slot,
        charge=charge,
        executor=msg.sender,
    )
    fee: uint256 = order.execution_fee
    if c.due == 0:
        fee += fee
        if fee == 0:
            return
    extcall CLEARINGHOUSE.release(order.account, c.reserved, charge, fee, executor)


@internal
def _try_fill(
    order: IOrders.Order, c: IOrders.Commitment, slot: uint256
) -> (uint256, Bytes[MAX_REFUSAL]):
    """
    @notice Fill an order, or learn why not: five refusals end it, any other (a stale price,
            say, or too little gas) is passed on.
    @return (status, what the Clearinghouse reverted with when the status is SKIPPED)
    """
    filled: bool = False
    answer: Bytes[MAX_REFUSAL] = b""
    filled, answer = raw_call(
        CLEARINGHOUSE.address,
        abi_encode(
            order.account,
            order.instrument,
            order.size,
            self._fill_index(order.size, c, slot),
            slot,
            order.acceptable,
            order.reduce_only,
            c.reserved,
            order.execution_fee,
            msg.sender,
            method_id=method_id(
                "fill(bytes32,uint256,int256,uint256,uint256,uint256,bool,uint256,uint256,address)"
            ),
        ),
        max_outsize=MAX_REFUSAL,
        revert_on_failure=False,
    )
    if filled:
        return FILLED, b""
    refusal: bytes32 = keccak256(answer)
    if refusal == REFUSED_PRICE:
        return FAILED_PRICE, b""
    if refusal == REFUSED_MARGIN:
        return FAILED_MARGIN, b""
    if refusal == REFUSED_LIMIT:
        return FAILED_LIMIT, b""
    if refusal == REFUSED_REDUCTION:
        return FAILED_REDUCTION, b""
    if refusal == REFUSED_HALTED:
        return FAILED_HALTED, b""
    return SKIPPED, answer


@internal
@pure
def _refusal(reason: String[32]) -> bytes32:
    return keccak256(abi_encode(reason, method_id=method_id("Error(string)")))


@internal
@view
def _fill_index(size: int256, c: IOrders.Commitment, slot: uint256) -> uint256:
    """
    @notice Index price that fills the order: the highest of the slot's quorum for buys, the
            lowest for sells, so that choosing among honest reporters gains nothing.
    @return WAD
    """
    assert slot >= c.due, "orders: slot before due"
    high: uint256 = 0
    low: uint256 = 0
    median: uint256 = 0
    previous: uint256 = 0
    high, low, median, previous = staticcall ORACLE_HUB.slot_price(c.feed, slot)
    assert previous < c.due, "orders: slot not the first"
    if size > 0:
        return high
    return low


@internal
@view
def _feed(instrument: uint256) -> uint256:
    return terms._feed((staticcall INSTRUMENTS.risk_terms(instrument))[1])


@internal
@view
def _executable(c: IOrders.Commitment, slot: uint256) -> bool:
    if c.due == 0 or block.timestamp > c.deadline:
        return False
    return staticcall ORACLE_HUB.has_slot(c.feed, c.due, slot)


@internal
@view
def _is_over(instrument: uint256) -> bool:
    """
    @notice Whether an instrument has come to its end: delisted and due, or settling
    """
    return staticcall INSTRUMENTS.status(instrument) >= terms.STATUS_DUE


# ---------------------------------------------------------------- words


@internal
@view
def _id(order: IOrders.Order) -> bytes32:
    return keccak256(abi_encode(order, chain.id, self))


@internal
@view
def _live(id: bytes32) -> IOrders.Commitment:
    word: uint256 = self._commitments[id]
    assert word != 0, "orders: no such order"
    return self._unpack(word)


@internal
@pure
def _pack(c: IOrders.Commitment) -> uint256:
    # a block's time, a window within its bound, a feed of 16 bits: only money may not fit
    return (
        c.due
        | ((c.deadline - c.due) << 40)
        | (convert(c.opening, uint256) << 55)
        | (c.feed << 56)
        | words._put_unsigned(c.reserved, 72, 92)
        | words._put_unsigned(c.lapse, 164, 92)
    )


@internal
@pure
def _unpack(word: uint256) -> IOrders.Commitment:
    due: uint256 = word & MASK_40
    if due == 0:
        waiting: IOrders.Commitment = empty(IOrders.Commitment)
        waiting.placed = word >> 40
        return waiting
    return IOrders.Commitment(
        due=due,
        deadline=due + ((word >> 40) & MASK_15),
        feed=(word >> 56) & MASK_16,
        opening=(word >> 55) & 1 == 1,
        reserved=(word >> 72) & MASK_92,
        lapse=word >> 164,
        placed=0,
    )


@internal
@view
def _load_policy() -> Policy:
    word: uint256 = self._policy
    return Policy(
        delay_seconds=word & MASK_32,
        window_seconds=(word >> 32) & MASK_32,
        buffer_ppm=word >> 64,
    )


@internal
def _store_policy(delay_seconds: uint256, window_seconds: uint256, buffer_ppm: uint256):
    self._policy = (
        words._put_unsigned(delay_seconds, 0, 32)
        | words._put_unsigned(window_seconds, 32, 32)
        | words._put_unsigned(buffer_ppm, 64, 32)
    )
