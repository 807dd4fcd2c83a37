# pragma version 0.4.3
"""
@title A token that behaves as badly as it is told to
@notice For tests: keeps a fee, answers nothing or False, refuses addresses, calls back.
@dev Never deploy it where a balance is worth something.
"""

# how a transfer answers
HONEST: constant(uint256) = 0
SILENT: constant(uint256) = 1    # moves the tokens, returns nothing
REFUSING: constant(uint256) = 2  # moves nothing, returns False

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256


name: public(String[32])
symbol: public(String[16])
decimals: public(uint8)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])

manner: public(uint256)
fee_ppm: public(uint256)                      # of what is sent by its holder, burned
pull_fee_ppm: public(uint256)                 # of what is sent on his behalf, burned
blocked: public(HashMap[address, bool])       # may neither send nor receive
hook_target: public(address)                  # called in the middle of a transfer
hook_data: public(Bytes[1024])
hook_runs: public(uint256)
hook_passed: public(bool)                     # whether the last such call succeeded


@deploy
def __init__(name_: String[32], symbol_: String[16], decimals_: uint8):
    self.name = name_
    self.symbol = symbol_
    self.decimals = decimals_


@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount
    log Transfer(sender=empty(address), receiver=to, value=amount)


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    return True


@external
def set_manner(manner: uint256):
    self.manner = manner


@external
def set_fees(fee_ppm: uint256, pull_fee_ppm: uint256):
    self.fee_ppm = fee_ppm
    self.pull_fee_ppm = pull_fee_ppm


@external
def set_blocked(holder: address, blocked: bool):
    self.blocked[holder] = blocked


@external
def set_hook(target: address, data: Bytes[1024]):
    """
    @param target called by the next transfers; the empty address: nobody
    """
    self.hook_target = target
    self.hook_data = data


@external
def act(target: address, data: Bytes[1024]):
    """
    @notice Call something as the owner of accounts or shares of its own.
    """
    raw_call(target, data)


@external
@raw_return
def transfer(to: address, amount: uint256) -> Bytes[32]:
    return self._move(msg.sender, to, amount, self.fee_ppm)


@external
@raw_return
def transferFrom(owner: address, to: address, amount: uint256) -> Bytes[32]:
    self.allowance[owner][msg.sender] -= amount
    return self._move(owner, to, amount, self.pull_fee_ppm)


@internal
def _move(owner: address, to: address, amount: uint256, fee_ppm: uint256) -> Bytes[32]:
    assert not self.blocked[owner] and not self.blocked[to], "token: blocked"
    if self.hook_target != empty(address):
        self.hook_runs += 1
        self.hook_passed = raw_call(
            self.hook_target, self.hook_data, max_outsize=0, revert_on_failure=False
        )
    if self.manner == REFUSING:
        return abi_encode(False)
    self.balanceOf[owner] -= amount
    self.balanceOf[to] += amount - amount * fee_ppm // 10**6
    log Transfer(sender=owner, receiver=to, value=amount)
    if self.manner == SILENT:
        return b""
    return abi_encode(True)
