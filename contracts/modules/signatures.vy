# pragma version 0.4.3
"""
@title Who signed
@notice One form of a signature counts: v is 27 or 28 and s in the lower half of the curve's
        order, else anybody could make a second signature out of a first. Wallets that are
        contracts answer for themselves (ERC-1271).
"""

HALF_ORDER: constant(uint256) = (
    57896044618658097711785492504343953926418782139537452191302581570759080747168
)
ERC1271_MAGIC: constant(bytes32) = (
    0x1626ba7e00000000000000000000000000000000000000000000000000000000
)
MAX_SIGNATURE: constant(uint256) = 1_024  # bytes: what a wallet of several keys may need


@internal
@pure
def _recovered(digest: bytes32, v: uint256, r: uint256, s: uint256) -> address:
    """
    @return who signed, the empty address for what is no signature
    """
    if s > HALF_ORDER or (v != 27 and v != 28):
        return empty(address)
    return ecrecover(digest, v, r, s)


@internal
@view
def _is_signed(signer: address, digest: bytes32, signature: Bytes[MAX_SIGNATURE]) -> bool:
    """
    @notice Whether a key (r, s, v in 65 bytes) or a contract says that this was signed.
    @dev The key comes first: an account may have both, code and a key. A contract is asked
         without letting it change anything, and no more than a word of its answer is read.
    """
    if len(signature) == 65:
        found: address = self._recovered(
            digest,
            convert(slice(signature, 64, 1), uint256),
            convert(slice(signature, 0, 32), uint256),
            convert(slice(signature, 32, 32), uint256),
        )
        if found == signer and found != empty(address):
            return True
    if not signer.is_contract:
        return False
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        signer,
        abi_encode(digest, signature, method_id=method_id("isValidSignature(bytes32,bytes)")),
        max_outsize=32,
        is_static_call=True,
        revert_on_failure=False,
    )
    return success and len(answer) == 32 and convert(answer, bytes32) == ERC1271_MAGIC
