"""The story that `make demo` tells: its cast, its stage, its audit and its report."""
