"""Writing a cluster plan's file: the same plan always gives the same bytes."""

from __future__ import annotations

from typing import Any

from flowc_runtime.cluster.plan import Channel, ClusterPlan, Part
from flowc_runtime.planfile.write import digest, json_lines, plain, plan_json

VERSION_KEY = "flowc_cluster_plan"

Json = Any


def write_cluster_plan(plan: ClusterPlan) -> str:
    """The text of the plan's file."""
    content = _plan_json(plan)
    head = {VERSION_KEY: plan.version, "hash": digest(content)}
    body = {k: v for k, v in content.items() if k != VERSION_KEY}
    return "".join(json_lines({**head, **body}, "")) + "\n"


def cluster_plan_hash(plan: ClusterPlan) -> str:
    """The sha256 of the plan's content, as its file states it."""
    return digest(_plan_json(plan))


def _plan_json(plan: ClusterPlan) -> dict[str, Json]:
    return {
        VERSION_KEY: plan.version,
        "model": plan.model,
        "source": plan.source_hash,
        "sync": {
            "mode": plan.sync.mode,
            "backups": plan.sync.backups,
            "max_staleness": plan.sync.max_staleness,
        },
        "batch": plan.batch,
        "shards": plan.shards,
        "settings": plain(plan.settings),
        "channels": [_channel_json(channel) for channel in plan.channels],
        "parts": [_part_json(part) for part in plan.parts],
    }


def _channel_json(channel: Channel) -> dict[str, Json]:
    return {
        "name": channel.name,
        "kind": channel.kind,
        "producer": channel.producer,
        "consumer": channel.consumer,
        "bytes": channel.bytes,
        "tensors": [[t.name, str(t.type), t.offset] for t in channel.tensors],
    }


def _part_json(part: Part) -> dict[str, Json]:
    return {
        "role": part.role,
        "replicas": part.replicas,
        "stops": {
            program: [[s.position, s.action, s.channel] for s in stops]
            for program, stops in sorted(part.stops.items())
        },
        "plan": plan_json(part.plan),
    }
