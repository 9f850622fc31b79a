"""Why a name is what it is: its type, where each dimension comes from, its uses, its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flowc.driver import Checked
from flowc.graph.graph import Graph, Node, Ref
from flowc.source import Span
from flowc.views.declarations import Declarations
from flowc.views.lifetimes import Life, input_lives, output_lives, value_lives, variable_lives
from flowc.views.models import initial_text
from flowc.views.placed import placed
from flowc.views.reasons import Reasons
from flowc.views.subjects import Subject, subjects
from flowc_runtime.plan import Plan

Facts = dict[str, Any]
FIRST_VALUES = "init"  # the program that runs before all others, once


@dataclass(frozen=True)
class Model:
    """What `why` looks at: a checked model, its plan, and the texts behind it."""

    checked: Checked
    plan: Plan
    declarations: Declarations

    @property
    def graph(self) -> Graph:
        return self.checked.train.graph


def why(checked: Checked, plan: Plan, name: str) -> list[Facts]:
    """An answer for each thing that the name stands for; empty where it stands for nothing."""
    model = Model(checked, plan, Declarations())
    return [_answer(model, subject) for subject in subjects(checked, model.declarations, name)]


def known_names(checked: Checked, plan: Plan) -> list[str]:
    """The names that one would ask for: inputs, variables, outputs and bound names."""
    lowerer = checked.train.lowerer
    names = [*checked.inputs, *checked.train.variables, *lowerer.results, *lowerer.bound.values()]
    return list(dict.fromkeys([*names, *(v.path for v in plan.variables)]))


def _answer(model: Model, subject: Subject) -> Facts:
    reasons = Reasons(model.checked, model.declarations)
    return {
        "name": subject.name,
        "what": subject.what,
        "type": subject.type,
        "at": str(subject.span) if subject.span else "",
        "text": _first_line(subject.span),
        "initial": _initial(model, subject),
        "dimensions": list(_dimensions(model.graph, subject, reasons)),
        "facts": list(reasons.about(subject)),
        "over_a_cluster": list(placed(model.checked, subject)),
        "used_by": list(_users(model.graph, subject.value)),
        "lives": [_with_instructions(model.plan, life) for life in _lives(model.plan, subject)],
    }


def _first_line(span: Span | None) -> str:
    """The author's line in which a span begins."""
    return span.source.lines[span.line - 1].strip() if span else ""


def _initial(model: Model, subject: Subject) -> str:
    variable = model.checked.train.variables.get(subject.name)
    return initial_text(model.checked, variable) if variable and subject.variable else ""


def _dimensions(graph: Graph, subject: Subject, reasons: Reasons) -> Iterator[Facts]:
    if subject.value is None:
        return
    for axis, size in enumerate(graph.type_of(subject.value).shape):
        yield {"size": str(size), "why": reasons.of_dimension(subject, axis)}


def _users(graph: Graph, value: Ref | None) -> Iterator[Facts]:
    for node in graph.nodes:
        if value in node.operands:
            yield _node_facts(node)


def _node_facts(node: Node) -> Facts:
    at = str(node.origin.span) if node.origin.span else ""
    return {"op": node.op, "type": str(node.type), "path": node.origin.path, "at": at}


def _lives(plan: Plan, subject: Subject) -> Sequence[Life]:
    match subject.kind:
        case "variable":
            return list(variable_lives(plan, subject.name))
        case "input":
            return list(input_lives(plan, subject.name))
        case "output":
            return list(output_lives(plan, subject.name))
    if not subject.places:
        return []
    return [life for life in value_lives(plan, subject.owns) if life.program != FIRST_VALUES]


def _with_instructions(plan: Plan, life: Life) -> Facts:
    """The life as plain data, its instructions with their ops and places."""
    instructions = plan.programs[life.program].instructions

    def told(numbers: Sequence[int]) -> list[Facts]:
        return [
            {"number": n, "op": i.op, "path": i.path, "at": i.at}
            for n, i in ((n, instructions[n]) for n in numbers)
        ]

    return {**life.to_json(), "written": told(life.written), "read": told(life.read)}
