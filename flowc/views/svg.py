"""SVG: a picture laid out and written as one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from flowc.views.layout import Layout, Point, Size, lay_out
from flowc.views.picture import Box, Picture

CHARACTER_WIDTH = 7.4  # of the monospaced 12 px font, generously
SMALL_CHARACTER_WIDTH = 6.5
LINE_HEIGHT = 16.0
PADDING = 10.0
MARGIN = 24.0
TITLE_HEIGHT = 30.0
LEAST_BOX_WIDTH = 72.0

STYLE = """
  text { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
  .page { fill: #ffffff; }
  .title { font-size: 14px; font-weight: 600; fill: #1f2328; }
  .name { font-size: 12px; font-weight: 600; fill: #1f2328; }
  .more { font-size: 10.5px; fill: #57606a; }
  .shape { fill: #f6f8fa; stroke: #8c959f; stroke-width: 1; }
  .block .shape { fill: #eef1f5; stroke: #57606a; stroke-width: 1.4; }
  .scan .shape { fill: #f4ecff; stroke: #8250df; stroke-width: 1.4; }
  .input .shape { fill: #ddf4ff; stroke: #0969da; }
  .output .shape { fill: #dafbe1; stroke: #1a7f37; }
  .param .shape, .state .shape, .slot .shape, .update .shape { fill: #fff8c5; stroke: #9a6700; }
  .state .shape, .slot .shape, .update .shape { stroke-dasharray: 4 3; }
  .gradient .shape { fill: #fff1ec; stroke: #bc4c00; }
  .arrow { fill: none; stroke: #8c959f; stroke-width: 1.2; }
  .tip { fill: #8c959f; }
  .hit { fill: none; stroke: #000000; stroke-opacity: 0; stroke-width: 9; }
  .link:hover .arrow { stroke: #0969da; stroke-width: 2.2; }
  .node:hover .shape { stroke-width: 2.4; }
"""

DARK_STYLE = """
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; }
    .title, .name { fill: #e6edf3; }
    .more { fill: #9198a1; }
    .shape { fill: #161b22; stroke: #6e7681; }
    .block .shape { fill: #1c2330; stroke: #9198a1; }
    .scan .shape { fill: #271a3d; stroke: #a371f7; }
    .input .shape { fill: #0c2d50; stroke: #4493f8; }
    .output .shape { fill: #0f2f1c; stroke: #3fb950; }
    .param .shape, .state .shape, .slot .shape, .update .shape { fill: #332a0a; stroke: #d29922; }
    .gradient .shape { fill: #38190c; stroke: #db6d28; }
    .arrow { stroke: #6e7681; }
    .tip { fill: #6e7681; }
    .link:hover .arrow { stroke: #4493f8; }
  }
"""


def svg(picture: Picture) -> str:
    """The picture with those inside it below, as a document; ends with a newline."""
    drawings = [(p, *_laid_out(p)) for p in _with_inner(picture)]
    width = max(max(layout.size.width, _title_width(p)) for p, _, layout in drawings)
    height, parts = MARGIN, []
    for drawn, sizes, layout in drawings:
        shift = MARGIN + (width - layout.size.width) / 2
        parts.append(_panel(drawn, sizes, layout, shift, height))
        height += TITLE_HEIGHT + layout.size.height + MARGIN
    return _document(picture, Size(width + 2 * MARGIN, height), parts)


def box_size(box: Box) -> Size:
    """What a box needs for its words, in pixels."""
    name, *more = box.lines
    width = max([len(name) * CHARACTER_WIDTH, *(len(m) * SMALL_CHARACTER_WIDTH for m in more)])
    height = 2 * PADDING - 4 + LINE_HEIGHT * len(box.lines)
    return Size(max(LEAST_BOX_WIDTH, width + 2 * PADDING), height)


def _laid_out(picture: Picture) -> tuple[list[Size], Layout]:
    sizes = [box_size(box) for box in picture.boxes]
    return sizes, lay_out(sizes, [(a.source, a.target) for a in picture.arrows])


def _with_inner(picture: Picture) -> Iterator[Picture]:
    yield picture
    for inner in picture.inner:
        yield from _with_inner(inner)


def _title_width(picture: Picture) -> float:
    return len(picture.title) * 8.7


def _document(picture: Picture, size: Size, parts: Sequence[str]) -> str:
    width, height = _number(size.width), _number(size.height)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>{_text(picture.title)}</title>\n"
        f"<style>{STYLE}{DARK_STYLE}</style>\n"
        '<rect class="page" width="100%" height="100%"/>\n'
    )
    return head + "".join(parts) + "</svg>\n"


def _panel(
    picture: Picture, sizes: Sequence[Size], layout: Layout, left: float, top: float
) -> str:
    """One picture: its title, its arrows, and its boxes over them."""
    lines = [f'<text class="title" x="{_number(MARGIN)}" y="{_number(top + 12)}">'
             f"{_text(picture.title)}</text>"]
    lines.append(f'<g transform="translate({_number(left)} {_number(top + TITLE_HEIGHT)})">')
    for arrow, route in zip(picture.arrows, layout.routes, strict=True):
        lines.append(_arrow(arrow.text, route))
    for box, corner, size in zip(picture.boxes, layout.corners, sizes, strict=True):
        lines.append(_box(box, corner, size))
    return "\n".join(lines) + "\n</g>\n"


def _box(box: Box, corner: Point, size: Size) -> str:
    x, y = _number(corner.x), _number(corner.y)
    round_ = size.height / 2 if box.kind in ("input", "output") else 5.0
    kind = f"node {box.kind} gradient" if box.gradient else f"node {box.kind}"
    lines = [
        f'<g class="{kind}"><title>{_text(box.hover)}</title>',
        f'<rect class="shape" x="{x}" y="{y}" width="{_number(size.width)}" '
        f'height="{_number(size.height)}" rx="{_number(round_)}"/>',
    ]
    middle = _number(corner.x + size.width / 2)
    for row, words in enumerate(box.lines):
        style = "more" if row else "name"
        base = _number(corner.y + PADDING + 9 + row * LINE_HEIGHT)
        lines.append(
            f'<text class="{style}" x="{middle}" y="{base}" text-anchor="middle">'
            f"{_text(words)}</text>"
        )
    return "\n".join(lines) + "</g>"


def _arrow(text: str, route: Sequence[Point]) -> str:
    path = quoteattr(_path(route))
    end = route[-1]
    tip = f"M{_pair(end)}l-4 -8h8z"
    return (
        f'<g class="link"><title>{_text(text)}</title><path class="hit" d={path}/>'
        f'<path class="arrow" d={path}/><path class="tip" d="{tip}"/></g>'
    )


def _path(route: Sequence[Point]) -> str:
    """Straight through rows, and between them a curve that leaves and arrives upright."""
    parts = [f"M{_pair(route[0])}"]
    for number, (a, b) in enumerate(zip(route, route[1:], strict=False)):
        if number % 2 == 0 and a != b:
            parts.append(f"V{_number(b.y)}")
        elif number % 2 == 1:
            bend = (b.y - a.y) / 2
            parts.append(f"C{_pair(Point(a.x, a.y + bend))} {_pair(Point(b.x, b.y - bend))} "
                         f"{_pair(b)}")
    return "".join(parts)


def _pair(point: Point) -> str:
    return f"{_number(point.x)} {_number(point.y)}"


def _number(value: float) -> str:
    """At most one decimal, and never `-0`."""
    return f"{round(value, 1) + 0.0:g}" if abs(value) < 1e5 else f"{value:.0f}"


def _text(text: str) -> str:
    """Text for an element; control characters, which XML cannot hold, become `?`."""
    return escape("".join(c if c >= " " or c in "\n\t" else "?" for c in text))
