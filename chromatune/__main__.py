"""`python -m chromatune` is `chromatune`."""

from chromatune import main

main()
