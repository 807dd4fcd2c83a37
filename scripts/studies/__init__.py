"""Studies of the parameters: what they would have done, by command."""
