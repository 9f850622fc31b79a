"""Measured links → the text of a cluster file that holds them; comments and order stay."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from io import StringIO
from typing import Any

from flowc.cluster.cluster import Link
from flowc.cluster.units import duration_text, rate_text

DEFAULT = "default"
WIDEST = 4096  # columns: long lines stay as they are


def links_from(here: str | None, measured: Mapping[str, Link]) -> dict[tuple[str, str], Link]:
    """What measuring from this machine says of the links of the file; `measured` is by host.

    If this machine is the host `here`, these are its links to the others, by both names. Else
    nothing was measured between two of the hosts, and the median stands for all: (`default`, "").
    """
    if here is not None:
        return {(here, other): link for other, link in measured.items() if other != here}
    return {(DEFAULT, ""): _median(list(measured.values()))} if measured else {}


def _median(links: list[Link]) -> Link:
    return Link(
        statistics.median(link.bandwidth_bytes_per_s for link in links),
        statistics.median(link.latency_s for link in links),
    )


def with_links(text: str, links: Mapping[tuple[str, str], Link]) -> str:
    """The text of a sound cluster file with these links put in, or put right."""
    from ruamel.yaml.util import load_yaml_guess_indent

    _, indent, offset = load_yaml_guess_indent(text)
    yaml = _yaml(indent or 2, offset or 0)
    document = yaml.load(text)
    section = document.setdefault("links", {})
    for (a, b), link in links.items():
        names = [f"{a}-{b}", f"{b}-{a}"] if b else [a]
        name = next((name for name in names if name in section), names[0])
        entry = section.get(name)
        if entry is None:
            entry = section[name] = _one_line()
        entry["bandwidth"] = rate_text(link.bandwidth_bytes_per_s)
        entry["latency"] = duration_text(link.latency_s)
    out = StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def _one_line() -> Any:
    from ruamel.yaml.comments import CommentedMap

    entry = CommentedMap()
    entry.fa.set_flow_style()
    return entry


def _yaml(indent: int, offset: int) -> Any:
    """What reads and writes with all comments and quotes, and this indentation."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = WIDEST
    yaml.indent(mapping=indent, sequence=max(indent, offset + 2), offset=offset)
    return yaml
