"""`python -m tuning` is `chromatune`."""

from chromatune import main

main()
