"""A plan's facts as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowc.planning.units import size_text, time_text

Facts = Mapping[str, Any]
LONGEST_PATH = 12  # stretches that are shown
HOW_KNOWN = {
    "measured": "of these very instructions, measured on this machine",
    "fitted": "by the rates of their kinds, measured on this machine",
    "assumed": "assumed: `flowc calibrate MODEL` measures",
}


def plan_text(facts: Facts) -> Iterator[str]:
    """The lines of `flowc plan`."""
    yield _head(facts)
    yield ""
    yield from _devices(facts["devices"])
    if facts["links"]:
        yield ""
        yield from _links(facts["links"])
    yield ""
    yield from _prediction(facts)


def _head(facts: Facts) -> str:
    how = f", {facts['sync']}" if facts["sync"] else ""
    shards = f" in {facts['shards']} shards" if facts["shards"] > 1 else ""
    return f"{facts['model']}: batch {facts['batch']}{shards}{how}"


def _devices(devices: Sequence[Facts]) -> Iterator[str]:
    rows = [("task", "host", "ops", "parameters", "peak", "computes", "waits")]
    for device in devices:
        ops = " + ".join(str(p["ops"]) for p in device["programs"].values())
        seconds = device["seconds"]
        rows.append((
            device["task"], device["host"], ops, f"{device['parameters']:,}",
            size_text(device["bytes"]["total"]), time_text(seconds["compute"]),
            time_text(seconds["wait"]) if seconds["wait"] else "-",
        ))  # fmt: skip
    yield from table(rows, "<<>>>>>")


def _links(links: Sequence[Facts]) -> Iterator[str]:
    rows = [("link", "a step", "takes at least")]
    for link in links:
        inside = link["from"] == link["to"]
        name = f"within {link['from']}" if inside else f"{link['from']} -> {link['to']}"
        rows.append((name, size_text(link["bytes"]), time_text(link["seconds"])))
    yield from table(rows, "<>>")


def _prediction(facts: Facts) -> Iterator[str]:
    found = facts["prediction"]
    step = found["step_seconds"]
    rate = f"{1 / step:,.4g} steps a second" if step else "no time at all"
    yield f"predicted step: {time_text(step)}, {rate}"
    longest = found["path"][:LONGEST_PATH]
    rows = [("  critical path", "", "")]
    rows += [(f"  {s['task']}", s["what"], time_text(s["seconds"])) for s in longest]
    yield from table(rows, "<<>")
    if facts["sync"] is not None and found["speed_up"] is not None:
        alone = time_text(found["alone_seconds"])
        yield f"predicted speed-up over one process ({alone} a step): {found['speed_up']:.2f}"
    yield from _known(facts["costs"])


def _known(costs: Mapping[str, float]) -> Iterator[str]:
    parts = [f"{share:.0%} {HOW_KNOWN[source]}" for source, share in costs.items() if share > 0.005]
    yield f"seconds of instructions: {'; '.join(parts)}"


def table(rows: Sequence[Sequence[str]], sides: str) -> Iterator[str]:
    """Rows in columns, each kept to the left (`<`) or to the right (`>`)."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(sides))]
    for row in rows:
        cells = (f"{c:{side}{w}}" for c, side, w in zip(row, sides, widths, strict=True))
        yield "  ".join(cells).rstrip()
