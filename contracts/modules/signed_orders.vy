# pragma version 0.4.3
"""
@title What is signed of an order, and that it counts once
@notice An order may come signed (EIP-712) and be brought by anyone. Its salt is the nonce: a
        bit of its signer's bitmap, so that orders count in any order and each once. The domain
        binds it to one chain and one contract; beside its fields it says what the relayer is
        paid and until when it may be brought.
@dev Every field has a fixed size and the type hash comes first: no two messages have one hash.
"""

from snekmate.utils import eip712_domain_separator as eip712

from contracts.interfaces import IOrders
from contracts.modules import account_words
from contracts.modules import signatures

uses: eip712

ORDER_TYPEHASH: constant(bytes32) = keccak256(
    "Order(address owner,uint256 bucket,uint256 instrument,int256 size,uint256 acceptable,bool reduce_only,uint256 execution_fee,uint256 nonce,uint256 kind,uint256 trigger,uint256 expiry,uint256 bracket,uint256 relay_fee,uint256 deadline)"
)

event NonceUsed:
    signer: indexed(address)
    place: uint256   # of the word in the signer's bitmap: nonce // 256
    used: uint256    # that word, after


_nonces: HashMap[address, HashMap[uint256, uint256]]  # signer -> place -> bits


@external
def cancel_nonces(place: uint256, mask: uint256):
    """
    @notice Make orders that the caller has signed worthless, 256 nonces at once.
    @param place nonces place * 256 to place * 256 + 255
    @param mask bit i: the nonce place * 256 + i
    """
    self._store(msg.sender, place, self._nonces[msg.sender][place] | mask)


@external
@view
def used_nonces(signer: address, place: uint256) -> uint256:
    """
    @return bit i: the nonce place * 256 + i is used or cancelled
    """
    return self._nonces[signer][place]


@internal
def _use(signer: address, nonce: uint256):
    used: uint256 = self._nonces[signer][nonce >> 8]
    bit: uint256 = 1 << (nonce & 255)
    assert used & bit == 0, "orders: nonce is used"
    self._store(signer, nonce >> 8, used | bit)


@internal
def _store(signer: address, place: uint256, used: uint256):
    self._nonces[signer][place] = used
    log NonceUsed(signer=signer, place=place, used=used)


@internal
@view
def _digest(order: IOrders.Order, relay_fee: uint256, deadline: uint256) -> bytes32:
    """
    @return the 32 bytes that are signed
    """
    return eip712._hash_typed_data_v4(
        keccak256(
            abi_encode(
                ORDER_TYPEHASH,
                account_words._owner(order.account),
                convert(order.account, uint256) & account_words.BUCKET_MASK,
                order.instrument,
                order.size,
                order.acceptable,
                order.reduce_only,
                order.execution_fee,
                order.salt,
                order.kind,
                order.trigger,
                order.expiry,
                order.bracket,
                relay_fee,
                deadline,
            )
        )
    )


@internal
def _accept(
    order: IOrders.Order,
    relay_fee: uint256,
    deadline: uint256,
    signer: address,
    signature: Bytes[signatures.MAX_SIGNATURE],
):
    """
    @notice Take a signed order once.
    @custom:reverts orders: signature is late; orders: nonce is used; orders: bad signature
    """
    assert block.timestamp <= deadline, "orders: signature is late"
    self._use(signer, order.salt)
    digest: bytes32 = self._digest(order, relay_fee, deadline)
    assert signatures._is_signed(signer, digest, signature), "orders: bad signature"
