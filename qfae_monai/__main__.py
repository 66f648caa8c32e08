"""`python -m qfae_monai` is `qfae`."""

from qfae_monai.cli import main

main()
