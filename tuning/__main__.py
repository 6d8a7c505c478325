"""`python -m tuning` is `chromatune`."""

from tuning.cli import main

main()
