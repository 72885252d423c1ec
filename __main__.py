"""Entry point of `python -m assay`: the command `assay`."""

from .flows.cli import main

main()
