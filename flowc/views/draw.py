"""Drawing a graph: its picture, with what belongs together in one box."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from flowc.graph.graph import Graph
from flowc.views.errors import too_many_boxes
from flowc.views.groups import VARIABLES, Group, by_path, each_alone, first_view_depth
from flowc.views.items import Flow, Item, Use, flow_of
from flowc.views.picture import Arrow, Box, Picture

EVERYTHING = 0  # the depth at which every node has a box of its own
MOST_BOXES = 3_000  # a picture of so many takes seconds, and nobody reads it
WORDS_WIDTH = 46  # characters of a line in a box
SHOWN_OPS = 4
SHOWN_TYPES = 2
_TAKEN = {"x": "element", "c": "carry", "k": "captured"}  # see flowc/graph/scan.py
_GIVEN = {"c": "next carry", "y": "yield"}


def draw_graph(graph: Graph, title: str, depth: int | None = None) -> Picture:
    """The picture of a graph, grouped by the first `depth` names of the nodes' paths.

    None takes the depth that gives a picture one can take in; EVERYTHING groups nothing. Below
    the picture stand the bodies of the scans that are boxes of their own.
    """
    return draw_flow(flow_of(graph), title, depth)


def draw_flow(flow: Flow, title: str, depth: int | None = None) -> Picture:
    """`draw_graph` for what is no graph but flows like one. NotShown if it is too large."""
    chosen = first_view_depth(flow.items) if depth is None else depth
    groups = each_alone(flow.items) if chosen == EVERYTHING else by_path(flow.items, chosen)
    if len(groups) > MOST_BOXES:
        raise too_many_boxes(len(groups), MOST_BOXES)
    sketch = _Sketch(flow, groups)
    inner = [_body(flow.items, group, chosen) for group in groups]
    return Picture(title, tuple(sketch.boxes), sketch.arrows(), tuple(p for p in inner if p))


def _body(items: Mapping[int, Item], group: Group, depth: int) -> Picture | None:
    """The body of a scan, if it is not hidden in a group with other things."""
    scans = [items[n] for n in group.members if items[n].body is not None]
    if len(scans) != 1 or (group.name and not _shows_more(scans[0], depth)):
        return None
    body = scans[0].body
    assert body is not None
    return draw_flow(_explained(flow_of(body)), f"one round of the {scans[0].name}", depth)


def _explained(flow: Flow) -> Flow:
    """The flow of a scan's body, where `x0` says that it is an element, `c0` a carry, and so on."""
    items = {
        number: replace(item, name=_role(item.name, _TAKEN)) if item.kind == "input" else item
        for number, item in flow.items.items()
    }
    results = tuple(r._replace(name=_role(r.name, _GIVEN)) for r in flow.results)
    return Flow(items, results, flow.updates)


def _role(name: str, roles: Mapping[str, str]) -> str:
    return f"{roles[name[0]]} {name}" if name[:1] in roles else name


def _shows_more(scan: Item, depth: int) -> bool:
    """Whether the nodes of the body lie under more names than the scan, at this depth."""
    assert scan.body is not None
    return len({tuple(n.origin.path.split(".")[:depth]) for n in scan.body.nodes}) > 2


class _Sketch:
    """The boxes of a picture, and which of them each item lies in."""

    def __init__(self, flow: Flow, groups: Sequence[Group]):
        self.items = flow.items
        self.boxes: list[Box] = []
        self.box_of: dict[int, int] = {}
        self.flows: dict[tuple[int, int], dict[str, None]] = defaultdict(dict)
        leaving = _leaving(flow, groups)
        for group in groups:
            for member in group.members:
                self.box_of[member] = len(self.boxes)
            self.boxes.append(_box(flow.items, group, leaving))
        self._join_items()
        self._add_outputs(flow)
        self._add_updates(flow)

    def arrows(self) -> tuple[Arrow, ...]:
        return tuple(Arrow(s, t, "\n".join(texts)) for (s, t), texts in self.flows.items())

    def _join_items(self) -> None:
        for number, item in self.items.items():
            for use in item.uses:
                self._join(use, self.box_of[number])

    def _join(self, use: Use, target: int) -> None:
        source = self.box_of[use.item]
        if source != target:
            operand = self.items[use.item]
            name = f"{operand.name}: " if operand.kind in (*VARIABLES, "input") else ""
            self.flows[source, target][f"{name}{operand.types[use.result]}"] = None

    def _add_outputs(self, flow: Flow) -> None:
        for result in flow.results:
            value = f"= {result.constant}" if result.use is None else result.type
            hover = f"output {result.name}\n{result.type}"
            self.boxes.append(Box("output", (shorten(result.name), value), hover))
            if result.use is not None:
                self._join(result.use, len(self.boxes) - 1)

    def _add_updates(self, flow: Flow) -> None:
        """One box for all next values that come out of the same box."""
        coming: dict[int, list[tuple[str, Use]]] = defaultdict(list)
        for path, use in flow.updates:
            coming[self.box_of[use.item]].append((path, use))
        for updates in coming.values():
            paths = [path for path, _ in updates]
            name = f"next values of {len(paths)} variables" if paths[1:] else f"next {paths[0]}"
            self.boxes.append(Box("update", (shorten(name),), "\n".join(["next", *paths])))
            for _, use in updates:
                self._join(use, len(self.boxes) - 1)


def _leaving(flow: Flow, groups: Sequence[Group]) -> dict[int, list[str]]:
    """By item, the types of those of its results that something outside of its group needs."""
    group_of = {member: at for at, group in enumerate(groups) for member in group.members}
    wanted = {result.use for result in flow.results if result.use is not None}
    wanted.update(use for _, use in flow.updates)
    for number, item in flow.items.items():
        wanted.update(use for use in item.uses if group_of[use.item] != group_of[number])
    leaving: dict[int, list[str]] = defaultdict(list)
    for use in sorted(wanted):
        item = flow.items[use.item]
        if item.kind not in VARIABLES:
            leaving[use.item].append(item.types[use.result])
    return leaving


def _box(items: Mapping[int, Item], group: Group, leaving: Mapping[int, list[str]]) -> Box:
    members = [items[number] for number in group.members]
    if not group.name:
        return _box_of_one(members)
    types = [text for number in group.members for text in leaving.get(number, ())]
    ops = [op for member in members for op in member.ops]
    lines = (group.name, listed(types, SHOWN_TYPES), _work(members), _held(members))
    gradient = all(m.gradient for m in members if m.kind not in VARIABLES)
    name = f"gradient of {group.name}" if gradient else group.name
    held = [f"{m.kind} {m.name}: {m.types[0]}" for m in members if m.kind in VARIABLES]
    counted = f"{len(ops)} operations: {listed(ops, len(ops))}"
    hover = "\n".join([name, *_places(members), *types, counted, *held])
    shown = tuple(shorten(line) for line in (name, *lines[1:]) if line)
    return Box("block", shown, hover, group.path, gradient)


def _work(members: Sequence[Item]) -> str:
    """What is computed: a single node in full, several by their ops."""
    computing = [m for m in members if m.kind not in VARIABLES]
    if len(computing) == 1 and computing[0].name != "fused":
        return computing[0].name
    return listed((op for member in members for op in member.ops), SHOWN_OPS)


def _box_of_one(members: Sequence[Item]) -> Box:
    """The box of a single node, and of the variables that only it uses."""
    item = next((m for m in members if m.kind not in VARIABLES), members[0])
    kernel = listed(item.ops, SHOWN_OPS) if item.name == "fused" else ""
    variables = _held([m for m in members if m is not item])
    lines = (item.name, listed(item.types, SHOWN_TYPES), kernel, variables)
    shown = tuple(shorten(line) for line in lines if line)
    return Box(item.kind, shown, item.hover, item.path, item.gradient)


def _held(members: Sequence[Item]) -> str:
    """`100,480 parameters`, and how many tensors of other kinds lie in the box."""
    parameters = sum(m.elements for m in members)
    words = [f"{parameters:,} parameters"] if parameters else []
    for kind, noun in (("state", "states"), ("slot", "slots")):
        count = sum(m.kind == kind for m in members)
        if count:
            words.append(f"{count} {noun if count > 1 else kind}")
    return ", ".join(words)


def _places(members: Sequence[Item]) -> list[str]:
    """The author's lines that a group comes from, each once."""
    lines = {m.at.rsplit(":", 1)[0]: m.text for m in members if m.at}
    return [f"{at}  {text}".rstrip() for at, text in lines.items()]


def listed(words: Iterable[str], most: int) -> str:
    """The words in order, each once with its count, as many as `most`."""
    counts: dict[str, int] = defaultdict(int)
    for word in words:
        counts[word] += 1
    shown = [w if n == 1 else f"{n} {w}" if "[" not in w else f"{n} × {w}"
             for w, n in list(counts.items())[:most]]
    rest = len(counts) - most
    return ", ".join(shown) + (f" +{rest}" if rest > 0 else "")


def shorten(text: str, width: int = WORDS_WIDTH) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"
