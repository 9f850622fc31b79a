"""Who may import whom: rooms, and the libraries that each keeps to itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHIPPED = {"flowc": ROOT, "flowc_runtime": ROOT / "runtime", "flowc_grammar": ROOT / "grammar"}

# A room is the longest prefix of a module's name; it may import itself, and these rooms.
NOUNS = ("flowc.source", "flowc.diagnostic", "flowc.collector")
TARGET = ("flowc_runtime.dims", "flowc_runtime.types", "flowc_runtime.ops")
GRAPH = (*NOUNS, *TARGET, "flowc.graph")
COMPILER = ("flowc.syntax", "flowc.lower", "flowc.graph", "flowc.autodiff", "flowc.passes",
            "flowc.place", "flowc.plan", "flowc.std")  # fmt: skip
CLUSTER = ("flowc_runtime.cluster", "flowc_runtime.plan")
# What a task does in a step, and with whom: to be run, proven, measured or predicted.
STEP_TABLE = (
    "flowc_runtime.cluster.work.table", "flowc_runtime.cluster.work.boxes",
    "flowc_runtime.cluster.work.sums", "flowc_runtime.cluster.work.direct")
ROOMS: dict[str, tuple[str, ...]] = {
    # the runtime, from what everything needs to what needs everything
    "flowc_grammar": (),
    "flowc_runtime": (),
    "flowc_runtime.dims": (),
    "flowc_runtime.types": ("flowc_runtime.dims",),
    "flowc_runtime.ops": ("flowc_runtime.dims", "flowc_runtime.types"),
    "flowc_runtime.expression": TARGET,
    "flowc_runtime.plan": TARGET,
    "flowc_runtime.planfile": (
        *TARGET, "flowc_runtime.plan", "flowc_runtime.expression", "flowc_runtime.blocking",
        "flowc_runtime.memory"),
    "flowc_runtime.data": (
        "flowc_runtime.dims", "flowc_runtime.types", "flowc_runtime.cores"),
    "flowc_runtime.events": (),
    "flowc_runtime.threads": (),
    "flowc_runtime.cores": (),
    "flowc_runtime.kept": (),
    "flowc_runtime.memory": (*TARGET, "flowc_runtime.plan"),
    "flowc_runtime.device": (*TARGET, "flowc_runtime.plan", "flowc_runtime.memory"),
    "flowc_runtime.blocking": (*TARGET, "flowc_runtime.plan", "flowc_runtime.expression"),
    "flowc_runtime.phases": (
        *TARGET, "flowc_runtime.expression", "flowc_runtime.blocking"),
    "flowc_runtime.moves": (*TARGET, "flowc_runtime.plan"),
    "flowc_runtime.rounds": (
        *TARGET, "flowc_runtime.plan", "flowc_runtime.memory", "flowc_runtime.moves"),
    "flowc_runtime.numpy_device": (
        *TARGET, "flowc_runtime.plan", "flowc_runtime.expression", "flowc_runtime.memory",
        "flowc_runtime.device", "flowc_runtime.blocking", "flowc_runtime.threads"),
    "flowc_runtime.native": (
        *TARGET, "flowc_runtime.plan", "flowc_runtime.expression", "flowc_runtime.memory",
        "flowc_runtime.device", "flowc_runtime.blocking", "flowc_runtime.numpy_device",
        "flowc_runtime.threads", "flowc_runtime.phases", "flowc_runtime.moves",
        "flowc_runtime.rounds", "flowc_runtime.kept"),
    "flowc_runtime.cuda": (
        *TARGET, "flowc_runtime.plan", "flowc_runtime.expression", "flowc_runtime.memory",
        "flowc_runtime.device", "flowc_runtime.blocking", "flowc_runtime.numpy_device",
        "flowc_runtime.phases", "flowc_runtime.moves", "flowc_runtime.rounds",
        "flowc_runtime.kept", "flowc_runtime.threads"),
    "flowc_runtime.backend": (
        "flowc_runtime.device", "flowc_runtime.numpy_device", "flowc_runtime.native",
        "flowc_runtime.cuda"),
    "flowc_runtime.blame": (
        *TARGET, "flowc_runtime.plan", "flowc_runtime.memory", "flowc_runtime.device",
        "flowc_runtime.expression", "flowc_runtime.numpy_device"),
    "flowc_runtime.executor": (
        *TARGET, "flowc_runtime.plan", "flowc_runtime.memory", "flowc_runtime.device",
        "flowc_runtime.numpy_device", "flowc_runtime.blame"),
    "flowc_runtime.checkpoint": (*TARGET, "flowc_runtime.plan", "flowc_runtime.threads"),
    "flowc_runtime.runfolder": ("flowc_runtime.checkpoint",),
    "flowc_runtime.training": (
        *TARGET, "flowc_runtime.plan", "flowc_runtime.device", "flowc_runtime.data",
        "flowc_runtime.events", "flowc_runtime.checkpoint", "flowc_runtime.runfolder"),
    "flowc_runtime.calibrate": (
        *TARGET, "flowc_runtime.plan", "flowc_runtime.expression", "flowc_runtime.blocking",
        "flowc_runtime.device", "flowc_runtime.executor", "flowc_runtime.threads",
        "flowc_runtime.cores",
        "flowc_runtime.data", "flowc_runtime.events", "flowc_runtime.training"),
    # the cluster: its nouns, then the rooms that do something with them
    "flowc_runtime.cluster": (*TARGET, "flowc_runtime.plan"),
    "flowc_runtime.cluster.work.table": CLUSTER,
    "flowc_runtime.cluster.work.boxes": (*CLUSTER, "flowc_runtime.cluster.work.table"),
    "flowc_runtime.cluster.work.direct": (*CLUSTER, "flowc_runtime.cluster.work.table"),
    "flowc_runtime.cluster.work.sums": (*TARGET, *CLUSTER),
    "flowc_runtime.cluster.work.errors": (),
    "flowc_runtime.cluster.memory": (*CLUSTER, *STEP_TABLE),
    "flowc_runtime.cluster.planfile": (
        *TARGET, *CLUSTER, *STEP_TABLE, "flowc_runtime.planfile"),
    "flowc_runtime.cluster.control": ("flowc_runtime.cluster", "flowc_runtime.cores"),
    "flowc_runtime.cluster.transport": (
        "flowc_runtime.cluster", "flowc_runtime.cluster.control", "flowc_runtime.cores"),
    "flowc_runtime.cluster.worker": (
        "flowc_runtime.cluster", "flowc_runtime.cluster.control",
        "flowc_runtime.cluster.transport", "flowc_runtime.cluster.task",
        "flowc_runtime.cluster.work"),
    "flowc_runtime.cluster.launch": (
        "flowc_runtime.cluster", "flowc_runtime.cluster.control", "flowc_runtime.cluster.task",
        "flowc_runtime.cluster.worker"),
    "flowc_runtime.cluster.work": (
        *TARGET, *CLUSTER, *STEP_TABLE, "flowc_runtime.cluster.work.errors",
        "flowc_runtime.cluster.memory", "flowc_runtime.cluster.planfile", "flowc_runtime.memory",
        "flowc_runtime.device", "flowc_runtime.backend", "flowc_runtime.executor",
        "flowc_runtime.data", "flowc_runtime.checkpoint", "flowc_runtime.training"),
    "flowc_runtime.cluster.task": ("flowc_runtime.cluster", "flowc_runtime.cluster.control"),
    "flowc_runtime.cluster.coordinator": (
        "flowc_runtime.cluster", "flowc_runtime.cluster.control", "flowc_runtime.cluster.launch",
        "flowc_runtime.checkpoint", "flowc_runtime.device", "flowc_runtime.events",
        "flowc_runtime.training"),
    "flowc_runtime.cluster.simulator": (
        "flowc_runtime.cluster", "flowc_runtime.cluster.coordinator"),
    # the compiler: nouns may be imported by verbs, verbs never import verbs
    "flowc": ("flowc.api",),
    "flowc.source": (),
    "flowc.diagnostic": ("flowc.source",),
    "flowc.collector": (),
    "flowc.render": (*NOUNS, "flowc"),
    "flowc.explain": (
        *NOUNS, "flowc.costs", "flowc.onnx.errors", "flowc_runtime.backend",
        "flowc_runtime.checkpoint", "flowc_runtime.runfolder",
        "flowc_runtime.data", "flowc_runtime.training", "flowc_runtime.cluster",
        "flowc_runtime.cluster.work.errors"),
    "flowc.codes": (),
    "flowc.std": (),
    "flowc.syntax": (*NOUNS, "flowc_grammar"),
    "flowc.graph": (*NOUNS, *TARGET, "flowc_runtime.expression"),
    "flowc.autodiff": GRAPH,
    "flowc.lower": (
        *GRAPH, "flowc.syntax", "flowc.std", "flowc_runtime.data", "flowc_runtime.cluster"),
    "flowc.passes": (*GRAPH, "flowc_runtime.expression"),
    "flowc.plan": (
        *GRAPH, "flowc_runtime.plan", "flowc_runtime.planfile", "flowc_runtime.expression",
        "flowc_runtime.blocking"),
    "flowc.place": (
        *GRAPH, *CLUSTER, "flowc.syntax", "flowc.lower", "flowc.plan",
        "flowc_runtime.cluster.planfile", "flowc_runtime.expression"),
    "flowc.costs": (
        *TARGET, "flowc_runtime.plan", "flowc_runtime.expression", "flowc_runtime.blocking"),
    "flowc.predict": (
        *TARGET, *CLUSTER, *STEP_TABLE, "flowc.costs", "flowc_runtime.cluster.transport"),
    "flowc.cluster": (
        *NOUNS, "flowc_runtime.cluster", "flowc_runtime.cluster.control", "flowc_runtime.cores"),
    "flowc.driver": (*NOUNS, *TARGET, *COMPILER, *CLUSTER),
    # what stands around the compiler
    "flowc.jobs": ("flowc", "flowc_runtime"),
    "flowc.distributed": ("flowc", "flowc_runtime"),
    "flowc.planning": ("flowc", "flowc_runtime"),
    "flowc.profiling": (
        "flowc.planning", "flowc_runtime.backend", "flowc_runtime.calibrate", "flowc_runtime.plan",
        "flowc_runtime.threads"),
    "flowc.examples": ("flowc_runtime.data", "flowc_runtime.types"),
    "flowc.views": ("flowc", "flowc_runtime"),
    "flowc.onnx": ("flowc", "flowc_runtime"),
    "flowc.onnx.errors": (),
    "flowc.templates": (),
    "flowc.api": ("flowc", "flowc_runtime"),
    "flowc.cli": ("flowc", "flowc_runtime"),
}
AROUND = (
    "flowc.jobs", "flowc.distributed", "flowc.planning", "flowc.profiling", "flowc.views",
    "flowc.onnx", "flowc.api", "flowc.cli")
WHOLE = ("flowc", "flowc_runtime")  # with these entries the rooms around the compiler may use all

# Each library stays in the rooms named.
LIBRARIES = {
    "lark": ("flowc.syntax", "flowc_grammar"),
    "click": ("flowc.cli",),
    "rich": ("flowc.cli", "flowc.render"),
    "platformdirs": ("flowc.cli", "flowc_runtime.kept"),
    "tensorboardX": ("flowc_runtime.runfolder",),
    "safetensors": ("flowc_runtime.checkpoint",),
    "PIL": ("flowc_runtime.data",),
    "ruamel": ("flowc.cluster",),
    "cryptography": ("flowc.cluster",),
    "grpc": (
        "flowc_runtime.cluster", "flowc_runtime.cluster.control",
        "flowc_runtime.cluster.transport", "flowc.cluster"),
    "google": ("flowc_runtime.cluster.control", "flowc.onnx"),
    "onnx": ("flowc.onnx",),
    "ray": ("flowc_runtime.cluster.launch",),
    "llvmlite": ("flowc_runtime.native",),
    "pycuda": ("flowc_runtime.cuda", "flowc.cli"),
}


@cache
def modules() -> dict[str, Path]:
    found = {}
    for package, folder in SHIPPED.items():
        for path in sorted((folder / package).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room_of(module: str) -> str:
    return max((r for r in ROOMS if module == r or module.startswith(f"{r}.")), key=len, default="")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else node.module


@pytest.mark.parametrize("name", modules())
def test_a_module_imports_only_what_its_room_may(name: str) -> None:
    room = room_of(name)
    allowed = ROOMS[room]
    for imported in imports(modules()[name]):
        if imported.partition(".")[0] not in SHIPPED:
            continue
        other = room_of(imported)
        all_below = [a for a in allowed if a in WHOLE and room in AROUND]
        inside = any(other.startswith(f"{a}.") for a in all_below)
        assert other == room or other in allowed or inside, f"{name} imports {imported}"


def test_every_module_belongs_to_a_room() -> None:
    loose = [m for m in modules() if room_of(m) in ("flowc", "flowc_runtime") and m != room_of(m)]
    assert loose == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_stays_in_its_rooms(library: str) -> None:
    users = {
        room_of(name) for name, path in modules().items()
        if any(i.partition(".")[0] == library for i in imports(path))
    }  # fmt: skip
    assert users <= set(LIBRARIES[library])


def test_no_module_evaluates_or_unpickles() -> None:
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), name
        assert not {"pickle", "marshal", "shelve"} & set(imports(path)), name
