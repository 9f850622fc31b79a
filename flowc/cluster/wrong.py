"""How reading a cluster ends where it cannot go on."""

from __future__ import annotations

from flowc.diagnostic import Stop


class WrongCluster(Stop):
    """The cluster file, or TF_CONFIG, has mistakes; the sink holds them."""
