"""The coordinator's machine against models of tasks, on virtual time, with seeded faults.

A seed decides everything: the cluster's shape, how long what takes, and what goes wrong when. So
a run that finds a mistake can be had again, as often as it takes to understand it.
"""

from flowc_runtime.cluster.simulator.run import Broken, Report, simulate

__all__ = ["Broken", "Report", "simulate"]
