// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title The delay between a decision about Ballast and its effect
/// @notice Owns the protocol's contracts: what it is told to do waits in public first, so that
///         whoever disagrees can leave before.
/// @dev OpenZeppelin's controller, unchanged.
contract Timelock is TimelockController {
    /// @param minDelay seconds between scheduling and executing
    /// @param proposers who may schedule and cancel
    /// @param executors who may execute; the zero address stands for anybody
    /// @param admin may change the roles until it renounces; zero for none from the start
    constructor(uint256 minDelay, address[] memory proposers, address[] memory executors, address admin)
        TimelockController(minDelay, proposers, executors, admin)
    {}
}
