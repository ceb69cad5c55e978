"""`python -m tracechain.cli` is `tracechain`."""

from tracechain.cli import main

main()
