# pragma version 0.4.3
"""
@title Requests to enter or leave the pool, and what they have become
@notice One pending request for each controller and kind, in one word; what was executed adds
        up to one claim, in another, until it is taken. With operators, and the views by which
        ERC-7540 shows all this.
@custom:units an entry's amount is assets (native) and its outcome shares; an exit's the reverse
@custom:rounding a claim gives down and uses up what was executed up; the last one gives the rest
@custom:layout bits, from 0 up
        request  due 40, window 24, amount 96, min_out 96
        claim    amount 128, out 128
"""

from contracts.modules import words

ENTRY: constant(uint256) = 0   # assets in, shares out
EXIT: constant(uint256) = 1    # shares in, assets out

REQUEST_ID: constant(uint256) = 0  # ERC-7540: a controller's requests are one

# interface ids of ERC-165, ERC-7575, and of operators, entries and exits of ERC-7540
INTERFACES: constant(bytes4[5]) = [
    0x01ffc9a7, 0x2f0a18c5, 0xe3bc4e65, 0xce3bbe50, 0x620ee8e4
]

MAX_AMOUNT: constant(uint256) = 2**96 - 1
PROMPT_SHARE: constant(uint256) = 8   # of the window: what comes back before it is over is free
MAX_BATCH: constant(uint256) = 32


event OperatorSet:
    controller: indexed(address)
    operator: indexed(address)
    approved: bool


struct Request:
    due: uint256        # unix seconds: executes at prices of a slot at or after it
    deadline: uint256   # unix seconds: lapses after it
    amount: uint256     # 0: there is none
    min_out: uint256    # for the whole amount


struct Claim:
    amount: uint256     # executed
    out: uint256        # for it


isOperator: public(HashMap[address, HashMap[address, bool]])  # controller, operator
_requests: HashMap[uint256, HashMap[address, uint256]]  # kind, controller
_claims: HashMap[uint256, HashMap[address, uint256]]    # kind, controller


@external
def setOperator(operator: address, approved: bool) -> bool:
    """
    @notice Let another address make and claim requests for the caller.
    @return always true
    """
    self.isOperator[msg.sender][operator] = approved
    log OperatorSet(controller=msg.sender, operator=operator, approved=approved)
    return True


@internal
@view
def _acts_for(principal: address) -> bool:
    """
    @notice Whether the caller is the principal or an operator of his.
    """
    return msg.sender == principal or self.isOperator[principal][msg.sender]


# pending


@internal
@view
def _load(kind: uint256, controller: address) -> Request:
    word: uint256 = self._requests[kind][controller]
    due: uint256 = words._unsigned(word, 0, 40)
    return Request(
        due=due,
        deadline=due + words._unsigned(word, 40, 24),
        amount=words._unsigned(word, 64, 96),
        min_out=words._unsigned(word, 160, 96),
    )


@internal
def _store(kind: uint256, controller: address, r: Request):
    self._requests[kind][controller] = (
        words._put_unsigned(r.due, 0, 40)
        | words._put_unsigned(r.deadline - r.due, 40, 24)
        | words._put_unsigned(r.amount, 64, 96)
        | words._put_unsigned(r.min_out, 160, 96)
    )


@internal
def _forget(kind: uint256, controller: address):
    self._requests[kind][controller] = 0


@internal
@view
def _is_due(r: Request) -> bool:
    return r.amount != 0 and r.due <= block.timestamp and block.timestamp <= r.deadline


@internal
@view
def _is_prompt(r: Request) -> bool:
    """
    @notice Whether an execution now is within the first eighth of the request's window.
    """
    return block.timestamp <= r.due + (r.deadline - r.due) // PROMPT_SHARE


@internal
@view
def _has_lapsed(r: Request) -> bool:
    return r.amount != 0 and block.timestamp > r.deadline


@internal
@view
def _latest_due(kind: uint256, controllers: DynArray[address, MAX_BATCH]) -> uint256:
    """
    @return the latest due time among requests that can be executed now; 0: there is none
    """
    latest: uint256 = 0
    for controller: address in controllers:
        r: Request = self._load(kind, controller)
        if self._is_due(r):
            latest = max(latest, r.due)
    return latest


# executed


@internal
@view
def _claimable(kind: uint256, controller: address) -> Claim:
    word: uint256 = self._claims[kind][controller]
    return Claim(amount=words._unsigned(word, 0, 128), out=words._unsigned(word, 128, 128))


@internal
def _add_claim(kind: uint256, controller: address, amount: uint256, out: uint256):
    c: Claim = self._claimable(kind, controller)
    c.amount += amount
    c.out += out
    self._store_claim(kind, controller, c)


@internal
def _take_amount(kind: uint256, controller: address, amount: uint256) -> uint256:
    """
    @notice Take what comes out for a part of what was executed.
    @return out, down
    """
    c: Claim = self._claimable(kind, controller)
    assert amount != 0, "pool: amount is zero"
    assert amount <= c.amount, "pool: more than claimable"
    out: uint256 = c.out * amount // c.amount
    c.amount -= amount
    c.out -= out
    self._store_claim(kind, controller, c)
    return out


@internal
def _take_out(kind: uint256, controller: address, out: uint256) -> uint256:
    """
    @notice Take so much of what came out.
    @return the part of what was executed that is used up for it, up
    """
    c: Claim = self._claimable(kind, controller)
    assert out != 0, "pool: amount is zero"
    assert out <= c.out, "pool: more than claimable"
    amount: uint256 = (c.amount * out + c.out - 1) // c.out
    c.amount -= amount
    c.out -= out
    self._store_claim(kind, controller, c)
    return amount


@internal
def _store_claim(kind: uint256, controller: address, c: Claim):
    self._claims[kind][controller] = (
        words._put_unsigned(c.amount, 0, 128) | words._put_unsigned(c.out, 128, 128)
    )


# views of ERC-7540 and of the parts of ERC-4626 that it turns into claims


@external
@view
def pendingDepositRequest(request_id: uint256, controller: address) -> uint256:
    """
    @return assets that wait to enter, native; 0 for any id but 0
    """
    return self._of_id(request_id, self._load(ENTRY, controller).amount)


@external
@view
def claimableDepositRequest(request_id: uint256, controller: address) -> uint256:
    """
    @return assets whose shares can be claimed, native; 0 for any id but 0
    """
    return self._of_id(request_id, self._claimable(ENTRY, controller).amount)


@external
@view
def pendingRedeemRequest(request_id: uint256, controller: address) -> uint256:
    """
    @return shares that wait to leave; 0 for any id but 0
    """
    return self._of_id(request_id, self._load(EXIT, controller).amount)


@external
@view
def claimableRedeemRequest(request_id: uint256, controller: address) -> uint256:
    """
    @return shares whose assets can be claimed; 0 for any id but 0
    """
    return self._of_id(request_id, self._claimable(EXIT, controller).amount)


@external
@view
def maxDeposit(controller: address) -> uint256:
    """
    @return what `deposit` can claim at most: assets of executed entries, native
    """
    return self._claimable(ENTRY, controller).amount


@external
@view
def maxMint(controller: address) -> uint256:
    """
    @return what `mint` can claim at most: shares of executed entries
    """
    return self._claimable(ENTRY, controller).out


@external
@view
def maxRedeem(controller: address) -> uint256:
    """
    @return what `redeem` can claim at most: shares of executed exits
    """
    return self._claimable(EXIT, controller).amount


@external
@view
def maxWithdraw(controller: address) -> uint256:
    """
    @return what `withdraw` can claim at most: assets of executed exits, native
    """
    return self._claimable(EXIT, controller).out


# what a claim gives is known, what a request will give is not: ERC-7540 wants these to revert


@external
@view
def previewDeposit(assets: uint256) -> uint256:
    raise "pool: requests only"


@external
@view
def previewMint(shares: uint256) -> uint256:
    raise "pool: requests only"


@external
@view
def previewRedeem(shares: uint256) -> uint256:
    raise "pool: requests only"


@external
@view
def previewWithdraw(assets: uint256) -> uint256:
    raise "pool: requests only"


@external
@pure
def supportsInterface(interface_id: bytes4) -> bool:
    """
    @notice ERC-165
    """
    return interface_id in INTERFACES


@internal
@pure
def _of_id(request_id: uint256, amount: uint256) -> uint256:
    if request_id != REQUEST_ID:
        return 0
    return amount
