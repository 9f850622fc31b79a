"""DOT: a picture for Graphviz, and for all that reads its language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flowc.views.picture import Box, Picture

_STYLES = {
    "op": 'style=filled fillcolor="#f6f8fa" color="#8c959f"',
    "block": 'style=filled fillcolor="#eef1f5" color="#57606a"',
    "scan": 'style=filled fillcolor="#f4ecff" color="#8250df"',
    "input": 'style="filled,rounded" fillcolor="#ddf4ff" color="#0969da"',
    "output": 'style="filled,rounded" fillcolor="#dafbe1" color="#1a7f37"',
    "param": 'style=filled fillcolor="#fff8c5" color="#9a6700"',
    "state": 'style="filled,dashed" fillcolor="#fff8c5" color="#9a6700"',
    "slot": 'style="filled,dashed" fillcolor="#fff8c5" color="#9a6700"',
    "update": 'style="filled,dashed" fillcolor="#fff8c5" color="#9a6700"',
}
_GRADIENT = 'style=filled fillcolor="#fff1ec" color="#bc4c00"'
_INDENT = "  "


def dot(picture: Picture) -> str:
    """The picture as a digraph, boxes that share names in clusters; ends with a newline."""
    lines = [
        f"digraph {quoted(picture.title)} {{",
        f"  graph [label={quoted(picture.title)} labelloc=t labeljust=l fontname=monospace]",
        "  node [shape=box fontname=monospace fontsize=11]",
        '  edge [color="#57606a" arrowsize=0.7]',
        *_body(picture, "n", _INDENT),
        "}",
    ]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A DOT string that shows `text` as it is; its lines stay centred lines."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "")
    return '"' + plain.replace("\n", "\\n").replace("\0", "?") + '"'


def _body(picture: Picture, prefix: str, indent: str) -> Iterator[str]:
    yield from _boxes(picture, prefix, list(range(len(picture.boxes))), 0, indent)
    for arrow in picture.arrows:
        ends = f"{prefix}{arrow.source} -> {prefix}{arrow.target}"
        yield f"{indent}{ends} [tooltip={quoted(arrow.text)}]"
    for number, inner in enumerate(picture.inner):
        yield f"{indent}subgraph cluster_{prefix}_body_{number} {{"
        yield f"{indent}{_INDENT}label={quoted(inner.title)} style=dashed"
        yield from _body(inner, f"{prefix}b{number}n", indent + _INDENT)
        yield f"{indent}}}"


def _boxes(
    picture: Picture, prefix: str, numbers: Sequence[int], depth: int, indent: str
) -> Iterator[str]:
    """Boxes whose paths agree in `depth` names; those that agree in one more form a cluster."""
    together: dict[str, list[int]] = {}
    for number in numbers:
        names = picture.boxes[number].path.split(".")
        together.setdefault(names[depth] if depth < len(names) else "", []).append(number)
    for name, members in together.items():
        if not name or len(members) == 1:
            yield from (_node(picture.boxes[n], f"{indent}{prefix}{n}") for n in members)
            continue
        yield f"{indent}subgraph cluster_{prefix}_{members[0]}_{depth} {{"
        path = ".".join(picture.boxes[members[0]].path.split(".")[: depth + 1])
        yield f'{indent}{_INDENT}label={quoted(path)} color="#d0d7de" fontsize=10'
        yield from _boxes(picture, prefix, members, depth + 1, indent + _INDENT)
        yield f"{indent}}}"


def _node(box: Box, name: str) -> str:
    style = _GRADIENT if box.gradient else _STYLES[box.kind]
    return f"{name} [label={quoted(chr(10).join(box.lines))} tooltip={quoted(box.hover)} {style}]"
