# pragma version 0.4.3
"""
@title Reporters, and what a quorum of them says
@notice Holds who may report and how many reports fix a price; verifies signed reports. The
        quorum is always a majority, so any two quorums share a reporter: while each of them
        signs one report per slot, no slot has two truths.
@custom:units mantissa = price * 10^decimals of the feed; confidence and width in ppm
"""

from snekmate.auth import ownable
from snekmate.utils import eip712_domain_separator as eip712

uses: ownable
uses: eip712

REPORT_TYPEHASH: constant(bytes32) = keccak256(
    "PriceReport(uint256 feed,uint256 slot,uint256 previous,uint256 price,uint256 confidence)"
)
# half the order of secp256k1: of a signature's two forms only the one with the lower s counts
HALF_ORDER: constant(uint256) = (
    57896044618658097711785492504343953926418782139537452191302581570759080747168
)

PPM: constant(uint256) = 10**6

MAX_QUORUM: constant(uint256) = 9
MAX_REPORTERS: constant(uint256) = 17  # of which 9 are a majority


struct SignedReport:
    price: uint56       # mantissa
    confidence: uint24  # ppm
    v: uint8
    r: uint256
    s: uint256


event ReporterChanged:
    reporter: indexed(address)
    listed: bool


event QuorumChanged:
    quorum: uint256
    reporters: uint256


quorum: public(uint256)                               # reports that fix a slot
reporters: DynArray[address, MAX_REPORTERS]
reporter_number: public(HashMap[address, uint256])    # 1 + place in reporters; 0 for others


@external
def add_reporter(reporter: address, quorum: uint256):
    """
    @notice List a reporter, and the quorum that holds with it.
    @param quorum more than half of the reporters after this call, at most 9
    @custom:reverts oracle: reporter is empty, already a reporter, too many reporters,
            quorum out of range
    """
    ownable._check_owner()
    assert reporter != empty(address), "oracle: reporter is empty"
    assert self.reporter_number[reporter] == 0, "oracle: already a reporter"
    assert len(self.reporters) < MAX_REPORTERS, "oracle: too many reporters"
    self.reporters.append(reporter)
    self.reporter_number[reporter] = len(self.reporters)
    log ReporterChanged(reporter=reporter, listed=True)
    self._set_quorum(quorum)


@external
def remove_reporter(reporter: address, quorum: uint256):
    """
    @notice Strike a reporter off, and the quorum that holds without it.
    @param quorum more than half of those left, at most all of them; 0 when nobody is left
    @custom:reverts oracle: not a reporter, quorum out of range
    """
    ownable._check_owner()
    number: uint256 = self.reporter_number[reporter]
    assert number != 0, "oracle: not a reporter"
    last: address = self.reporters.pop()
    if last != reporter:
        self.reporters[number - 1] = last
        self.reporter_number[last] = number
    self.reporter_number[reporter] = 0
    log ReporterChanged(reporter=reporter, listed=False)
    self._set_quorum(quorum)


@external
def set_quorum(quorum: uint256):
    """
    @notice How many reports fix a slot: more than half of the reporters, at most 9.
    @custom:reverts oracle: quorum out of range
    """
    ownable._check_owner()
    self._set_quorum(quorum)


@external
@view
def all_reporters() -> DynArray[address, MAX_REPORTERS]:
    """
    @notice Whose reports count.
    """
    return self.reporters


@internal
@view
def _verified(
    feed: uint256,
    slot: uint256,
    previous: uint256,
    reports: DynArray[SignedReport, MAX_QUORUM],
    width_ppm: uint256,
) -> (uint256, uint256, uint256, uint256):
    """
    @notice What a quorum says, once it is one.
    @dev In ascending order of price the ends are low and high and the middle is the median;
         reporters are told apart by a bit each.
    @return (median, high, low, confidence)
    """
    count: uint256 = len(reports)
    quorum: uint256 = self.quorum
    assert quorum != 0 and count >= quorum, "oracle: too few reports"
    # no more than a quorum: a longer list would let the poster widen it as he likes
    assert count == quorum, "oracle: too many reports"

    domain: bytes32 = eip712._domain_separator_v4()
    last: uint256 = 0
    conf_ppm: uint256 = 0
    seen: uint256 = 0
    for report: SignedReport in reports:
        mantissa: uint256 = convert(report.price, uint256)
        confidence: uint256 = convert(report.confidence, uint256)
        assert mantissa != 0, "oracle: price is zero"
        assert mantissa >= last, "oracle: reports not sorted"
        last = mantissa
        conf_ppm = max(conf_ppm, confidence)

        content: bytes32 = keccak256(
            abi_encode(REPORT_TYPEHASH, feed, slot, previous, mantissa, confidence)
        )
        digest: bytes32 = keccak256(concat(b"\x19\x01", domain, content))
        assert report.s <= HALF_ORDER, "oracle: bad signature"
        assert report.v == 27 or report.v == 28, "oracle: bad signature"
        signer: address = ecrecover(digest, report.v, report.r, report.s)
        assert signer != empty(address), "oracle: bad signature"
        number: uint256 = self.reporter_number[signer]
        assert number != 0, "oracle: not a reporter"
        assert (seen >> number) & 1 == 0, "oracle: reporter twice"
        seen |= 1 << number

    low: uint256 = convert(reports[0].price, uint256)
    assert (last - low) * PPM <= width_ppm * low, "oracle: reports too wide"
    median: uint256 = convert(reports[(count - 1) // 2].price, uint256)
    return median, last, low, conf_ppm


@internal
def _set_quorum(quorum: uint256):
    reporters: uint256 = len(self.reporters)
    assert quorum <= min(reporters, MAX_QUORUM), "oracle: quorum out of range"
    # a majority, so that any two quorums share a reporter
    assert reporters == 0 or 2 * quorum > reporters, "oracle: quorum out of range"
    self.quorum = quorum
    log QuorumChanged(quorum=quorum, reporters=reporters)
