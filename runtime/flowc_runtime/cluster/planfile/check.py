"""What must hold of a cluster plan before a task runs it; a broken promise is named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from flowc_runtime.cluster.plan import GRADIENT, UPDATE, Channel, ClusterPlan, Part
from flowc_runtime.cluster.planfile.ends import check_ends
from flowc_runtime.cluster.planfile.owners import check_owners
from flowc_runtime.cluster.planfile.promises import need
from flowc_runtime.cluster.planfile.waiting import check_waiting
from flowc_runtime.plan import ALIGNMENT_BYTES
from flowc_runtime.planfile.check import check_plan

ROLE = re.compile(r"worker|(ps|stage):[0-9]{1,6}")
MAX_SHARDS = 1 << 20
MAX_PARTS = 1 << 12
MAX_PAIRS = 1 << 24  # of a part and a channel, all of which are looked at


def check_cluster_plan(plan: ClusterPlan) -> None:
    """Raises PlanError unless every part is sound and all of them go together."""
    _check_size(plan)
    for part in plan.parts:
        check_plan(part.plan)
    _check_roles(plan)
    _check_shards(plan)
    roles = {part.role for part in plan.parts}
    for channel in plan.channels:
        _check_payload(channel, roles)
    check_ends(plan)
    check_owners(plan)
    _check_sync(plan)
    check_waiting(plan)


def _check_size(plan: ClusterPlan) -> None:
    parts, channels = len(plan.parts), len(plan.channels)
    good = parts <= MAX_PARTS and parts * channels <= MAX_PAIRS
    need(good, "too-large", f"there are {parts} parts and {channels} channels")


def _check_roles(plan: ClusterPlan) -> None:
    for role, count in Counter(part.role for part in plan.parts).items():
        need(ROLE.fullmatch(role) is not None, "no-role", f"`{role[:40]}` is no role")
        need(count == 1, "no-role", f"{count} parts are for `{role}`")
    for part in plan.parts:
        owns_only = part.role.startswith("ps:")
        does = UPDATE in part.plan.programs if owns_only else _computes(part)
        need(does, "no-role", f"`{part.role}` has not the programs that its role does")
        need(not owns_only or part.replicas == 1, "no-role", f"`{part.role}` is there twice")
        need(not (owns_only and _computes(part)), "no-role", f"`{part.role}` computes gradients")
    computing = [part for part in plan.parts if _computes(part)]
    need(bool(computing), "no-role", "no role computes gradients")
    alike = len({part.replicas for part in computing}) == 1
    alone = len(computing) == 1 or all(part.role != "worker" for part in computing)
    need(alike and alone, "no-role", "the stages of a model have not the same replicas")
    for name, count in Counter(channel.name for channel in plan.channels).items():
        need(count == 1, "channel-twice", f"{count} channels are called `{name[:80]}`")


def _computes(part: Part) -> bool:
    return GRADIENT in part.plan.programs


def _check_shards(plan: ClusterPlan) -> None:
    shards = plan.shards
    good = 1 <= shards <= MAX_SHARDS and plan.batch > 0 and plan.batch % shards == 0
    need(good, "uneven-shards", f"a batch of {plan.batch} in {shards} shards")
    for part in plan.parts:
        if not _computes(part):
            continue
        enough = plan.sync.mode == "async" or part.replicas <= shards
        need(enough, "uneven-shards",
             f"{part.replicas} replicas of `{part.role}` for {shards} shards")
        size = part.plan.programs[GRADIENT].sizes.get("batch", plan.shard_size)
        need(size == plan.shard_size, "uneven-shards",
             f"`{part.role}` computes {size} examples at once, and a shard has {plan.shard_size}")


def _check_payload(channel: Channel, roles: Collection[str]) -> None:
    where = f"channel `{channel.name[:80]}`"
    for role in (channel.producer, channel.consumer):
        need(role in roles, "unknown-role", f"{where} has an end at `{role[:40]}`")
    end = 0
    for tensor in sorted(channel.tensors, key=lambda t: t.offset):
        sound = end <= tensor.offset and tensor.offset % ALIGNMENT_BYTES == 0
        need(sound, "payload-overlap", f"{where}: `{tensor.name[:80]}` at {tensor.offset}")
        end = tensor.offset + tensor.type.bytes
    room = channel.bytes - end  # behind each tensor there may be some up to the next boundary
    fits = 0 <= room <= ALIGNMENT_BYTES * len(channel.tensors)
    need(fits and channel.bytes % ALIGNMENT_BYTES == 0, "payload-overlap",
         f"{where} of {channel.bytes} bytes holds {end}")
    need(bool(channel.tensors), "payload-overlap", f"{where} is empty")


def _check_sync(plan: ClusterPlan) -> None:
    has_ps = any(part.role.startswith("ps:") for part in plan.parts)
    need(has_ps or not plan.sync.loose, "no-ps", f"`{plan.sync}` needs a ps")
    workers = [part.replicas for part in plan.parts if _computes(part)]
    enough = plan.sync.mode != "backup" or plan.sync.backups < min(workers)
    need(enough, "no-ps", f"`{plan.sync}` leaves no gradient of {min(workers)} workers")
    if not plan.sync.loose:
        return
    staged = any(part.role.startswith("stage:") for part in plan.parts)
    need(not staged, "no-ps", f"stages cannot meet by `{plan.sync}`")
    summing = {c.consumer for c in plan.channels if c.kind == "gradients"}
    for part in plan.parts:
        need(_computes(part) or part.role in summing, "no-ps", f"`{part.role}` gets no gradients")
