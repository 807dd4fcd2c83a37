"""The only code that touches the world: chain, disk, clock, keys, network."""
