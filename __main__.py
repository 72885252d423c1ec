"""`python -m assay` is the command `assay`."""

from .flows.cli import main

main()
