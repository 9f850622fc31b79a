"""`python -m flowc.cli`."""

from flowc.cli.main import run

run()
