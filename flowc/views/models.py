"""Models: what a text declares and what it comes to, as plain data and as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowc.driver import Checked
from flowc.graph.text import value_text
from flowc.lower.lowerer import Variable
from flowc.syntax import tree as t
from flowc.views.declarations import one_line
from flowc.views.plans import program_facts
from flowc.views.tables import bytes_text, flops_text, pairs, plural, sections, table
from flowc_runtime.plan import Plan
from flowc_runtime.types import DTYPES, TensorType

Facts = dict[str, Any]

NUMBERS = ("count", "bytes", "instructions", "arena", "flops", "moved")


def model_facts(checked: Checked, plan: Plan) -> Facts:
    """All that the summary of a model says; sizes of one device in bytes, `at` as file:line:col."""
    lowerer = checked.train.lowerer
    return {
        "model": checked.name,
        "file": checked.world.tree.source.name,
        "hypers": _hypers(checked),
        "inputs": [
            {"name": name, "type": str(type_), "at": str(lowerer.inputs[name].span)}
            for name, type_ in checked.inputs.items()
        ],
        "variables": [_variable(checked, v) for v in checked.train.variables.values()],
        "slots": _slots(plan),
        "outputs": _outputs(checked),
        "data": [
            {"name": d.name, "text": one_line(d.span), "fields": list(d.fields), "at": str(d.span)}
            for d in checked.data.values()
        ],
        "train": train_settings(checked),
        "programs": {name: program_facts(p) for name, p in plan.programs.items()},
        "bytes_held": plan.bytes_held,
    }


def initial_text(checked: Checked, variable: Variable) -> str:
    """How a variable begins: the text of its declaration, or the initialiser that a layer took."""
    statement = variable.span.text
    if statement.startswith(("param ", "state ")) and "=" in statement:
        return " ".join(statement.partition("=")[2].split())
    lowerer = checked.train.lowerer
    ref = lowerer.initials.get(variable.path)
    if ref is None:
        return ""
    node = lowerer.initial.builder.nodes[ref.node]
    inside = node.origin.path.removeprefix(variable.path).lstrip(".")
    if inside:
        return inside.split(".")[0]
    return value_text(node.attrs["value"]) if node.op == "const" else node.op


def train_settings(checked: Checked) -> Mapping[str, str] | None:
    """The train section's settings as texts, with what `-D` put in their places."""
    section = checked.world.train
    if section is None or checked.settings is None:
        return None
    defaults = {"batch": str(checked.settings.batch), "seed": str(checked.settings.seed)}
    written = {s.key.text: one_line(s.value.span) for s in section.settings}
    defined = {
        name.removeprefix("train."): one_line(expr.span)
        for name, expr in checked.world.defines.items()
        if name.startswith("train.")
    }
    return {**defaults, **written, **defined}


def _hypers(checked: Checked) -> list[Facts]:
    tree, scope = checked.world.tree, checked.world.scope
    return [
        {"name": item.name.text, "value": scope.names[item.name.text].value, "at": str(item.span)}
        for item in tree.items
        if isinstance(item, t.Hyper) and item.name.text in scope.names
    ]


def _variable(checked: Checked, variable: Variable) -> Facts:
    type_ = variable.tensor.type
    return {
        "path": variable.path,
        "kind": variable.kind,
        "type": str(type_),
        "count": _count(type_),
        "bytes": _count(type_) * DTYPES[type_.dtype].bytes,
        "initial": initial_text(checked, variable),
        "frozen": _is_frozen(checked, variable),
        "at": str(variable.span),
    }


def _count(type_: TensorType) -> int:
    """The number of elements; variables have no open dimensions."""
    size = type_.size
    assert isinstance(size, int)
    return size


def _is_frozen(checked: Checked, variable: Variable) -> bool:
    freeze = checked.settings.freeze if checked.settings else None
    return variable.kind == "param" and freeze is not None and freeze.covers(variable.path)


def _slots(plan: Plan) -> Facts:
    """The optimiser's own variables, all together."""
    slots = [v for v in plan.variables if v.kind == "slot"]
    return {"tensors": len(slots), "bytes": sum(v.type.bytes for v in slots)}


def _outputs(checked: Checked) -> list[Facts]:
    found = []
    for output in checked.train.graph.outputs:
        arg = checked.train.lowerer.results[output.name]
        type_ = checked.train.graph.type_of(output.value)
        found.append({"name": output.name, "type": str(type_), "at": str(arg.span)})
    return found


# --- as text ----------------------------------------------------------------------------------


def model_text(facts: Facts) -> str:
    """The facts as a summary for people; ends with a newline."""
    here = facts["file"]
    head = f"{facts['model']}  {here}"
    variables = facts["variables"]
    parts = [
        ("", head),
        ("hypers", pairs([(h["name"], f"= {value_text(h['value'])}") for h in facts["hypers"]])),
        ("inputs", _named(facts["inputs"], here)),
        ("parameters", _variables([v for v in variables if v["kind"] == "param"], here)),
        ("states", _variables([v for v in variables if v["kind"] == "state"], here)),
        ("outputs", _named(facts["outputs"], here)),
        ("data", pairs([(d["name"], d["text"].partition("=")[2].strip()) for d in facts["data"]])),
        ("train", pairs(list((facts["train"] or {}).items()))),
        ("programs", programs_table(facts["programs"])),
        ("", "\n".join(_totals(facts))),
    ]
    return sections(parts)


def programs_table(programs: Mapping[str, Facts]) -> str:
    """One line for each program of a plan."""
    rows = [
        (name, ", ".join(f"{k} {v}" for k, v in p["sizes"].items()), f"{p['instructions']:,}",
         bytes_text(p["arena_bytes"]), flops_text(p["flops"]), bytes_text(p["bytes_moved"]))
        for name, p in programs.items()
    ]  # fmt: skip
    return table(("name", "sizes", "instructions", "arena", "flops", "moved"), rows, NUMBERS)


def place(at: str, here: str) -> str:
    """A place as `line:column` in the file that is shown, in full elsewhere."""
    return at.removeprefix(f"{here}:")


def _named(entries: Sequence[Facts], here: str) -> str:
    rows = [(e["name"], e["type"], place(e["at"], here)) for e in entries]
    return table(("name", "type", "at"), rows) if rows else ""


def _variables(entries: Sequence[Facts], here: str) -> str:
    rows = [
        (v["path"], v["type"], f"{v['count']:,}", bytes_text(v["bytes"]), v["initial"],
         "frozen" if v["frozen"] else "", place(v["at"], here))
        for v in entries
    ]  # fmt: skip
    heads = ("path", "type", "count", "bytes", "initial", "frozen", "at")
    return table(heads, rows, NUMBERS) if rows else ""


def _totals(facts: Facts) -> Iterator[str]:
    params = [v for v in facts["variables"] if v["kind"] == "param"]
    size = bytes_text(sum(v["bytes"] for v in params))
    yield f"{plural(sum(v['count'] for v in params), 'parameter')}, {size}"
    slots = facts["slots"]
    if slots["tensors"]:
        yield f"{plural(slots['tensors'], 'slot')} of the optimizer, {bytes_text(slots['bytes'])}"
    yield f"{bytes_text(facts['bytes_held'])} held while it runs"
