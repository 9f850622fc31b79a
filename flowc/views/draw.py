"""Drawing a graph: its picture, with what belongs together in one box."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from flowc.graph.graph import Graph, Ref
from flowc.views.groups import VARIABLES, Group, by_path, each_alone, first_view_depth
from flowc.views.items import Item, constant_texts, items_of
from flowc.views.picture import Arrow, Box, Picture

EVERYTHING = 0  # the depth at which every node has a box of its own
WORDS_WIDTH = 46  # characters of a line in a box
SHOWN_OPS = 4
SHOWN_TYPES = 2


def draw_graph(graph: Graph, title: str, depth: int | None = None) -> Picture:
    """The picture of a graph, grouped by the first `depth` names of the nodes' paths.

    None takes the depth that gives a picture one can take in; EVERYTHING groups nothing. Below
    the picture stand the bodies of the scans that are boxes of their own.
    """
    items = items_of(graph)
    chosen = first_view_depth(items) if depth is None else depth
    groups = each_alone(items) if chosen == EVERYTHING else by_path(items, chosen)
    sketch = _Sketch(graph, items, groups)
    inner = [_body(items, group, chosen) for group in groups]
    return Picture(title, tuple(sketch.boxes), sketch.arrows(), tuple(p for p in inner if p))


def _body(items: Mapping[int, Item], group: Group, depth: int) -> Picture | None:
    """The body of a scan, if it is not hidden in a group with other things."""
    scans = [items[n] for n in group.members if items[n].body is not None]
    if len(scans) != 1 or (group.name and not _shows_more(scans[0], depth)):
        return None
    body = scans[0].body
    assert body is not None
    return draw_graph(body, f"one round of %{scans[0].id}, the {scans[0].name}", depth)


def _shows_more(scan: Item, depth: int) -> bool:
    """Whether the nodes of the body lie under more names than the scan, at this depth."""
    assert scan.body is not None
    return len({tuple(n.origin.path.split(".")[:depth]) for n in scan.body.nodes}) > 2


class _Sketch:
    """The boxes of a picture, and which of them each item lies in."""

    def __init__(self, graph: Graph, items: Mapping[int, Item], groups: Sequence[Group]):
        self.items = items
        self.boxes: list[Box] = []
        self.box_of: dict[int, int] = {}
        self.flows: dict[tuple[int, int], dict[str, None]] = defaultdict(dict)
        leaving = _leaving(graph, items, groups)
        for group in groups:
            for member in group.members:
                self.box_of[member] = len(self.boxes)
            self.boxes.append(_box(items, group, leaving))
        self._join_items()
        self._add_outputs(graph)
        self._add_updates(graph)

    def arrows(self) -> tuple[Arrow, ...]:
        return tuple(Arrow(s, t, "\n".join(texts)) for (s, t), texts in self.flows.items())

    def _join_items(self) -> None:
        for number, item in self.items.items():
            for use in item.uses:
                self._join(use.item, use.result, self.box_of[number])

    def _join(self, item: int, result: int, target: int) -> None:
        source = self.box_of[item]
        if source != target:
            operand = self.items[item]
            name = f"{operand.name}: " if operand.kind in (*VARIABLES, "input") else ""
            self.flows[source, target][f"{name}{operand.types[result]}"] = None

    def _add_outputs(self, graph: Graph) -> None:
        constants = constant_texts(graph)
        for output in graph.outputs:
            type_text = str(graph.type_of(output.value))
            fixed = constants.get(output.value.node)
            lines = (output.name, type_text) if fixed is None else (output.name, f"= {fixed}")
            self.boxes.append(Box("output", lines, f"output {output.name}\n{type_text}"))
            if fixed is None:
                self._join(*output.value, len(self.boxes) - 1)

    def _add_updates(self, graph: Graph) -> None:
        """One box for all next values that come out of the same box."""
        coming: dict[int, list[tuple[str, Ref]]] = defaultdict(list)
        for update in graph.updates:
            if update.value.node in self.box_of:
                path = str(graph.nodes[update.variable].attrs["path"])
                coming[self.box_of[update.value.node]].append((path, update.value))
        for updates in coming.values():
            paths = [path for path, _ in updates]
            name = f"next {paths[0]}" if len(paths) == 1 else f"next values of {len(paths)} variables"
            self.boxes.append(Box("update", (shorten(name),), "\n".join(["next", *paths])))
            for _, value in updates:
                self._join(*value, len(self.boxes) - 1)


def _leaving(
    graph: Graph, items: Mapping[int, Item], groups: Sequence[Group]
) -> dict[int, list[str]]:
    """By item, the types of those of its results that something outside of its group needs."""
    group_of = {member: at for at, group in enumerate(groups) for member in group.members}
    wanted = {Ref(*ref) for ref in graph.roots}
    for number, item in items.items():
        for use in item.uses:
            if group_of[use.item] != group_of[number]:
                wanted.add(Ref(use.item, use.result))
    leaving: dict[int, list[str]] = defaultdict(list)
    for ref in sorted(wanted):
        if ref.node in items and items[ref.node].kind not in VARIABLES:
            leaving[ref.node].append(items[ref.node].types[ref.result])
    return leaving


def _box(items: Mapping[int, Item], group: Group, leaving: Mapping[int, list[str]]) -> Box:
    members = [items[number] for number in group.members]
    if not group.name:
        return _box_of_one(members)
    types = [text for number in group.members for text in leaving.get(number, ())]
    ops = [op for member in members for op in member.ops]
    lines = (group.name, listed(types, SHOWN_TYPES), _work(members), _held(members))
    gradient = all(m.gradient for m in members if m.kind not in VARIABLES)
    name = f"gradient of {group.name}" if gradient and group.path else group.name
    hover = "\n".join([name, *_places(members), *types, f"{len(ops)} nodes: {listed(ops, 40)}"])
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
