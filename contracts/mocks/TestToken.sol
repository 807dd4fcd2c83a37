// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token for development chains: any name, any decimals, minted by anybody
/// @dev Never deploy it where a balance is worth something.
contract TestToken is ERC20 {
    uint8 private immutable DECIMALS;

    /// @param decimals_ what one whole token divides into: 6 means 1e6 native units
    constructor(string memory name_, string memory symbol_, uint8 decimals_) ERC20(name_, symbol_) {
        DECIMALS = decimals_;
    }

    function decimals() public view override returns (uint8) {
        return DECIMALS;
    }

    /// @notice Creates `amount` native units for `to`, out of nothing.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
