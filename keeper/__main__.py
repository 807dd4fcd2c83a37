"""`python -m keeper` is the command `keeper`."""

from keeper.cli import main

main()
