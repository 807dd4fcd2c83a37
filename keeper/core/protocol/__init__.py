"""The reference model: the whole protocol in exact integers, without a chain."""
