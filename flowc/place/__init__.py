"""Placement: a step cut in halves, given to roles, and partitioned into their parts."""
