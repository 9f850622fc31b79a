"""A generation's members, as a task needs them."""

from __future__ import annotations

from collections.abc import Sequence

from flowc_runtime.cluster.exchange import Peer
from flowc_runtime.cluster.messages import Member
from flowc_runtime.cluster.work.table import Ranges


def ranges_of(members: Sequence[Member]) -> Ranges:
    """By task the shards that it computes."""
    return {m.task: (m.start, m.stop) for m in members}


def peers_of(members: Sequence[Member], me: str) -> tuple[Peer, ...]:
    """Where the others are."""
    return tuple(Peer(m.task, m.address, m.token) for m in members if m.task != me)
