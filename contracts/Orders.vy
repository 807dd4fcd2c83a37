# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Orders
@notice Commitments to trade. The owner of an account commits; after a delay the price of one
        determined slot fills the order, whoever executes it and whenever within the window.
        Nobody chooses among prices: not the trader, who cannot take a due order back, and not
        the executor, who can only name the first slot at or after the due time.
@dev One word per live order; the order itself is in the event and is handed back by whoever
     ends it. The Clearinghouse reserves, fills and releases; nothing else is trusted.
@custom:units sizes, prices, money WAD; times unix seconds; ppm = 10^-6
@custom:signs size > 0 buys
@custom:rounding none here
@custom:halt halt the instrument in Instruments: orders that add risk are refused, those
             committed are released without charge, reductions still fill
"""

from snekmate.auth import ownable

from contracts.interfaces import IClearinghouse
from contracts.interfaces import IInstruments
from contracts.interfaces import IOracleHub
from contracts.interfaces import IOrders
from contracts.modules import account_words
from contracts.modules import terms
from contracts.modules import words

implements: IOrders
initializes: ownable

exports: (ownable.owner, ownable.transfer_ownership)

FILLED: constant(uint256) = 0
FAILED_PRICE: constant(uint256) = 1
FAILED_MARGIN: constant(uint256) = 2
FAILED_LIMIT: constant(uint256) = 3
FAILED_REDUCTION: constant(uint256) = 4
EXPIRED: constant(uint256) = 5
CANCELLED: constant(uint256) = 6
FAILED_HALTED: constant(uint256) = 7
SKIPPED: constant(uint256) = 255   # only answered by execute_many: the order is still as it was

MAX_BATCH: constant(uint256) = 32
MAX_REFUSAL: constant(uint256) = 132     # bytes of a revert with a text of up to 64

MIN_DELAY: constant(uint256) = 1         # a slot of the same second is known to whoever commits
MAX_DELAY: constant(uint256) = 300       # 5 minutes
MIN_WINDOW: constant(uint256) = 10
MAX_WINDOW: constant(uint256) = 3_600    # 1 hour
POSTING: constant(uint256) = 60          # seconds for a late report, or to expire an order
MAX_SIZE: constant(int256) = 2**92       # WAD; below it nothing overflows
MAX_PRICE: constant(uint256) = 2**128    # WAD
MAX_FEE: constant(uint256) = 2**92       # WAD
MAX_BUFFER_PPM: constant(uint256) = 10**6

MASK_15: constant(uint256) = 2**15 - 1
MASK_16: constant(uint256) = 2**16 - 1
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


_commitments: HashMap[bytes32, uint256]  # due 40 | window 15 | opening 1 | feed 16 | reserved 92 | lapse 92
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
    @notice Promise to trade at the price of the first slot at or after now plus the delay.
    @param order by the owner of its account; size WAD, > 0 buys; acceptable WAD, 0 any
    @return id of the order
    @custom:reverts account: not the owner; orders: figure out of range;
                    orders: already committed; orders: no delay set;
                    and those of Clearinghouse.hold
    """
    assert account_words._owner(order.account) == msg.sender, "account: not the owner"
    id: bytes32 = self._id(order)
    policy: Policy = self._checked(id, order)

    c: IOrders.Commitment = empty(IOrders.Commitment)
    c.due = block.timestamp + policy.delay_seconds
    c.deadline = c.due + policy.window_seconds
    c.reserved, c.lapse, c.feed, c.opening = extcall CLEARINGHOUSE.hold(
        order.account,
        order.instrument,
        order.size,
        order.reduce_only,
        order.execution_fee,
        policy.buffer_ppm,
    )
    self._commitments[id] = self._pack(c)
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
    )
    return id


@external
def cancel(order: IOrders.Order):
    """
    @notice Take an order back: free before it is due, for the lapse charge after its window;
            free at any time once its instrument has come to its end, where nothing fills.
    @dev In between a price may be known, and taking back would be an option. After the window
         `expire` may find that nothing is to be charged; the owner need not wait for it.
    @custom:reverts account: not the owner; orders: no such order; orders: due already
    """
    assert account_words._owner(order.account) == msg.sender, "account: not the owner"
    id: bytes32 = self._id(order)
    c: IOrders.Commitment = self._live(id)
    charge: uint256 = 0
    if block.timestamp >= c.due and not self._is_over(order.instrument):
        assert block.timestamp > c.deadline, "orders: due already"
        charge = c.lapse
    self._end(id, order, c, CANCELLED, 0, charge, empty(address))


# ---------------------------------------------------------------- anyone


@external
def execute(order: IOrders.Order, slot: uint256) -> uint256:
    """
    @notice Fill an order at its slot's price, or end it for the reason that it cannot.
    @param slot the first at or after the order's due time, of the instrument's feed
    @return 0 filled; 1 price, 2 margin, 3 limit, 4 nothing to reduce (charged); 7 halted (free
            for an order that opened when it was committed)
    @custom:reverts orders: no such order; orders: window is over; orders: slot before due;
                    orders: slot not the first; and those of the OracleHub and of fill
    """
    id: bytes32 = self._id(order)
    c: IOrders.Commitment = self._live(id)
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
            On an instrument that has come to its end it is free, and no slot is asked for.
    @param slot the first at or after the order's due time, of the instrument's feed
    @custom:reverts orders: no such order; orders: window is open; orders: slot before due;
                    orders: slot not the first; and those of the OracleHub
    """
    id: bytes32 = self._id(order)
    c: IOrders.Commitment = self._live(id)
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
    @notice What committing an order would hold.
    @return (reserved, lapse charge, margin missing: `commit` refuses when > 0), WAD
    @custom:reverts as commit, whoever asks, but for margin
    """
    policy: Policy = self._checked(self._id(order), order)
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
@view
def _checked(id: bytes32, order: IOrders.Order) -> Policy:
    """
    @notice What an order must be before its margin is asked for
    @return the policy that it is committed under
    """
    assert (
        order.size < MAX_SIZE
        and order.size > -MAX_SIZE
        and order.acceptable < MAX_PRICE
        and order.execution_fee < MAX_FEE
    ), "orders: figure out of range"
    assert self._commitments[id] == 0, "orders: already committed"
    policy: Policy = self._load_policy()
    assert policy.delay_seconds != 0, "orders: no delay set"
    return policy


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
    extcall CLEARINGHOUSE.release(
        order.account, c.reserved, charge, order.execution_fee, executor
    )


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
    return (
        words._put_unsigned(c.due, 0, 40)
        | words._put_unsigned(c.deadline - c.due, 40, 15)
        | (convert(c.opening, uint256) << 55)
        | words._put_unsigned(c.feed, 56, 16)
        | words._put_unsigned(c.reserved, 72, 92)
        | words._put_unsigned(c.lapse, 164, 92)
    )


@internal
@pure
def _unpack(word: uint256) -> IOrders.Commitment:
    due: uint256 = word & MASK_40
    return IOrders.Commitment(
        due=due,
        deadline=due + ((word >> 40) & MASK_15),
        feed=(word >> 56) & MASK_16,
        opening=(word >> 55) & 1 == 1,
        reserved=(word >> 72) & MASK_92,
        lapse=word >> 164,
    )


@internal
@view
def _load_policy() -> Policy:
    word: uint256 = self._policy
    return Policy(
        delay_seconds=words._unsigned(word, 0, 32),
        window_seconds=words._unsigned(word, 32, 32),
        buffer_ppm=words._unsigned(word, 64, 32),
    )


@internal
def _store_policy(delay_seconds: uint256, window_seconds: uint256, buffer_ppm: uint256):
    self._policy = (
        words._put_unsigned(delay_seconds, 0, 32)
        | words._put_unsigned(window_seconds, 32, 32)
        | words._put_unsigned(buffer_ppm, 64, 32)
    )
