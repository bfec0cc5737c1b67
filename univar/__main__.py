"""`python -m univar` is the `univar` command (what torchrun starts)."""

from univar.cli import main

main()
