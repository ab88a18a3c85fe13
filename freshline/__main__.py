"""`python -m freshline`: the command, where its script is not on the path."""

from freshline.cli import main

main()
