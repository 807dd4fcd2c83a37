# pragma version 0.4.3
"""
@title Accounts that are short of something
@notice What accounts below nothing cannot pay was never the pool's, though its marks count it: who
        is on this list takes his shortfall out of the worth of a share until he is settled.
@dev A list as long as one call can look through: the largest shortfalls stay on it. Amounts are as
     of the last look; whoever makes or burns shares looks again first.
@custom:units WAD
"""

MAX_MARKS: constant(uint256) = 8


event ShortfallMarked:
    account: indexed(bytes32)
    shortfall: uint256   # WAD, 0: it is short of nothing any more
    marked: uint256      # WAD, of all, after


shortfall: public(HashMap[bytes32, uint256])   # WAD, of an account on the list
marked: public(uint256)                        # WAD, their sum
_accounts: DynArray[bytes32, MAX_MARKS]


@external
@view
def marked_accounts() -> DynArray[bytes32, MAX_MARKS]:
    """
    @return accounts whose shortfall is out of NAV
    """
    return self._accounts


@internal
def _mark(account: bytes32, amount: uint256):
    """
    @notice Put an account on the list, change what it is short of, or (0) take it off.
    @dev A full list gives up its smallest for a larger one.
    """
    if self.shortfall[account] == 0 and amount != 0:
        if len(self._accounts) == MAX_MARKS:
            smallest: bytes32 = self._accounts[0]
            for one: bytes32 in self._accounts:
                if self.shortfall[one] < self.shortfall[smallest]:
                    smallest = one
            assert self.shortfall[smallest] < amount, "pool: marks are full"
            self._store(smallest, 0)
        self._accounts.append(account)
    self._store(account, amount)


@internal
def _store(account: bytes32, amount: uint256):
    before: uint256 = self.shortfall[account]
    if amount == before:
        return
    self.shortfall[account] = amount
    total: uint256 = self.marked + amount - before
    self.marked = total
    if amount == 0:
        last: bytes32 = self._accounts.pop()
        if last != account:
            for i: uint256 in range(len(self._accounts), bound=MAX_MARKS):
                if self._accounts[i] == account:
                    self._accounts[i] = last
                    break
    log ShortfallMarked(account=account, shortfall=amount, marked=total)
