"""Reading a cluster plan's file: what is not exactly one of this version raises PlanError."""

from __future__ import annotations

from typing import Any, cast, get_args

from flowc_runtime.cluster.plan import (
    CLUSTER_PLAN_VERSION,
    Channel,
    ClusterPlan,
    Kind,
    Mode,
    Packed,
    Part,
    Stop,
    Sync,
)
from flowc_runtime.cluster.planfile.check import check_cluster_plan
from flowc_runtime.cluster.planfile.write import VERSION_KEY
from flowc_runtime.plan import PLAN_VERSION, PlanError
from flowc_runtime.planfile.fields import (
    Json,
    parse_json,
    read_integer,
    read_list,
    read_object,
    read_text,
    read_type,
    read_value,
)
from flowc_runtime.planfile.read import MAX_PLAN_BYTES, read_content
from flowc_runtime.planfile.write import VERSION_KEY as PART_VERSION_KEY
from flowc_runtime.planfile.write import digest

MAX_REPLICAS = 100_000


def read_cluster_plan(text: str) -> ClusterPlan:
    """The plan that a file's text holds, checked throughout; raises PlanError."""
    try:
        return _read(text)
    except RecursionError as reason:
        raise PlanError("this is no cluster plan: it is nested too deeply") from reason


def _read(text: str) -> ClusterPlan:
    if len(text) > MAX_PLAN_BYTES:
        raise PlanError(f"the file is larger than {MAX_PLAN_BYTES >> 20} MiB")
    content = parse_json(text)
    version = content.pop(VERSION_KEY, None)
    if version != CLUSTER_PLAN_VERSION:
        raise PlanError(
            f"this is no cluster plan of version {CLUSTER_PLAN_VERSION}: it has "
            f"{str(version)[:20]} under `{VERSION_KEY}`")
    stated = content.pop("hash", None)
    if stated != digest({VERSION_KEY: version, **content}):
        raise PlanError("the content does not match its hash: the file was damaged or edited")
    plan = _plan(content)
    check_cluster_plan(plan)
    return plan


def _plan(content: dict[str, Json]) -> ClusterPlan:
    keys = ("model", "source", "sync", "batch", "shards", "settings", "channels", "parts")
    fields = read_object(content, keys, "the cluster plan")
    return ClusterPlan(
        read_text(fields["model"], "model"),
        read_text(fields["source"], "source"),
        _sync(fields["sync"]),
        read_integer(fields["batch"], "batch"),
        read_integer(fields["shards"], "shards"),
        tuple(_part(p) for p in read_list(fields["parts"], "parts")),
        tuple(_channel(c) for c in read_list(fields["channels"], "channels")),
        read_value(read_object(fields["settings"], None, "settings"), "settings"),
    )


def _sync(value: Json) -> Sync:
    fields = read_object(value, ("mode", "backups", "max_staleness"), "sync")
    mode = _one_of(fields["mode"], get_args(Mode), "sync")
    return Sync(
        cast(Mode, mode),
        read_integer(fields["backups"], "sync"),
        read_integer(fields["max_staleness"], "sync"),
    )


def _channel(value: Json) -> Channel:
    keys = ("name", "kind", "producer", "consumer", "bytes", "tensors")
    fields = read_object(value, keys, "a channel")
    where = f"channel {read_text(fields['name'], 'a channel')[:80]}"
    kind = _one_of(fields["kind"], get_args(Kind), where)
    return Channel(
        fields["name"],
        cast(Kind, kind),
        read_text(fields["producer"], where),
        read_text(fields["consumer"], where),
        tuple(_packed(t, where) for t in read_list(fields["tensors"], where)),
        read_integer(fields["bytes"], where),
    )


def _packed(value: Json, where: str) -> Packed:
    name, type, offset = read_list(value, where, length=3)
    return Packed(read_text(name, where), read_type(type, where), read_integer(offset, where))


def _part(value: Json) -> Part:
    fields = read_object(value, ("role", "replicas", "stops", "plan"), "a part")
    where = f"part {read_text(fields['role'], 'a part')[:80]}"
    replicas = read_integer(fields["replicas"], where)
    if not 1 <= replicas <= MAX_REPLICAS:
        raise PlanError(f"{where}: {replicas} replicas")
    plan = read_object(fields["plan"], None, where)
    if plan.pop(PART_VERSION_KEY, None) != PLAN_VERSION:
        raise PlanError(f"{where}: its plan is not of version {PLAN_VERSION}")
    stops = read_object(fields["stops"], None, where)
    return Part(
        fields["role"], replicas, read_content(plan),
        {
            program: tuple(_stop(s, where) for s in read_list(found, where))
            for program, found in stops.items()
        },
    )  # fmt: skip


def _stop(value: Json, where: str) -> Stop:
    position, action, channel = read_list(value, where, length=3)
    chosen: Any = _one_of(action, ("receive", "send"), where)
    return Stop(read_integer(position, where), chosen, read_text(channel, where))


def _one_of(value: Json, known: tuple[str, ...], where: str) -> str:
    if value not in known:
        raise PlanError(f"{where}: `{str(value)[:40]}` is none of {', '.join(known)}")
    return str(value)
