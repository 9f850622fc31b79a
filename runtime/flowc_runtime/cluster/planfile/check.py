"""What must hold of a cluster plan before a task runs it; a broken promise is named."""

from __future__ import annotations

import re
from collections import Counter

from flowc_runtime.cluster.plan import GRADIENT, UPDATE, Channel, ClusterPlan, Part
from flowc_runtime.cluster.planfile.ends import check_ends
from flowc_runtime.cluster.planfile.owners import check_owners
from flowc_runtime.cluster.planfile.promises import need
from flowc_runtime.cluster.planfile.waiting import check_waiting
from flowc_runtime.planfile.check import check_plan

ROLE = re.compile(r"worker|(ps|stage):[0-9]{1,6}")
MAX_SHARDS = 1 << 20


def check_cluster_plan(plan: ClusterPlan) -> None:
    """Raises PlanError unless every part is sound and all of them go together."""
    for part in plan.parts:
        check_plan(part.plan)
    _check_roles(plan)
    _check_shards(plan)
    for channel in plan.channels:
        _check_payload(plan, channel)
    check_ends(plan)
    check_owners(plan)
    _check_sync(plan)
    check_waiting(plan)


def _check_roles(plan: ClusterPlan) -> None:
    roles = [part.role for part in plan.parts]
    for part in plan.parts:
        need(ROLE.fullmatch(part.role) is not None, "no-role", f"`{part.role[:40]}` is no role")
        need(roles.count(part.role) == 1, "no-role", f"two parts are for `{part.role}`")
        known = part.plan.programs.keys() & {GRADIENT, UPDATE}
        need(bool(known), "no-role", f"`{part.role}` has nothing to do in a step")
    names = Counter(channel.name for channel in plan.channels)
    for name, count in names.items():
        need(count == 1, "channel-twice", f"{count} channels are called `{name[:80]}`")
    need(any(_computes(p) for p in plan.parts), "no-role", "no role computes gradients")


def _computes(part: Part) -> bool:
    return GRADIENT in part.plan.programs


def _check_shards(plan: ClusterPlan) -> None:
    shards = plan.shards
    good = 1 <= shards <= MAX_SHARDS and plan.batch % shards == 0
    need(good, "uneven-shards", f"a batch of {plan.batch} in {shards} shards")
    for part in plan.parts:
        if _computes(part) and plan.sync.mode != "async":
            need(
                part.replicas <= shards, "uneven-shards",
                f"{part.replicas} replicas of `{part.role}` for {shards} shards")


def _check_payload(plan: ClusterPlan, channel: Channel) -> None:
    where = f"channel `{channel.name}`"
    roles = {part.role for part in plan.parts}
    for role in (channel.producer, channel.consumer):
        need(role in roles, "unknown-role", f"{where} has an end at `{role[:40]}`")
    end = 0
    for tensor in sorted(channel.tensors, key=lambda t: t.offset):
        sound = end <= tensor.offset and tensor.offset % tensor.type.storage.itemsize == 0
        need(sound, "payload-overlap", f"{where}: `{tensor.name[:80]}` at {tensor.offset}")
        end = tensor.offset + tensor.type.bytes
    need(end <= channel.bytes, "payload-overlap", f"{where} of {channel.bytes} bytes holds {end}")
    names = [tensor.name for tensor in channel.tensors]
    need(len(set(names)) == len(names), "received-twice", f"{where} has a tensor twice")


def _check_sync(plan: ClusterPlan) -> None:
    has_ps = any(part.role.startswith("ps:") for part in plan.parts)
    need(has_ps or not plan.sync.loose, "no-ps", f"`{plan.sync}` needs a ps")
    workers = [part.replicas for part in plan.parts if _computes(part)]
    enough = plan.sync.mode != "backup" or plan.sync.backups < min(workers)
    need(enough, "no-ps", f"`{plan.sync}` leaves no gradient of {min(workers)} workers")
    staged = any(part.role.startswith("stage:") for part in plan.parts)
    need(not (staged and plan.sync.loose), "no-ps", f"stages cannot meet by `{plan.sync}`")
