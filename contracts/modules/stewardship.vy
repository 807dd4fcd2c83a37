# pragma version 0.4.3
"""
@title Who may tighten at once
@notice What loosens waits: the owner is a timelock. What tightens and cannot liquidate anybody
        need not: the steward does it alone, and only the owner can take it back
        (docs/SPEC.md 10.10).
"""

from snekmate.auth import ownable

uses: ownable

event StewardChanged:
    steward: address


steward: public(address)  # the empty address: nobody but the owner


@external
def set_steward(steward: address):
    """
    @notice Say who may tighten without waiting.
    @param steward the empty address for nobody
    @custom:reverts ownable: caller is not the owner
    """
    ownable._check_owner()
    self.steward = steward
    log StewardChanged(steward=steward)


@internal
def _check(tightens: bool):
    """
    @notice Let the owner pass, and the steward when the act only tightens.
    """
    if not tightens or msg.sender != self.steward:
        ownable._check_owner()
