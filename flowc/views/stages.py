"""Stages: what the compiler makes of a model on its way, by name, as text, data or picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowc.graph.graph import Graph
from flowc.graph.text import print_graph, value_text
from flowc.syntax.tree import Tree
from flowc.views.draw import draw_flow, draw_graph
from flowc.views.errors import no_program, no_stage
from flowc.views.picture import Picture
from flowc.views.plans import only, plan_facts
from flowc.views.programs import flow_of_program
from flowc_runtime.plan import Plan

PROGRAMS = ("train", "evaluate", "predict", "init")

Seen = Mapping[str, Any]  # results by the names that the driver gives them: `train.graph`


def find_stage(seen: Seen, stage: str, program: str | None) -> str:
    """The full name of a stage: `optimised` is that of `program`, or of the first that has it.

    Raises NotShown where the model does not pass it.
    """
    wanted = [stage, *(f"{p}.{stage}" for p in ([program] if program else PROGRAMS))]
    found = next((name for name in wanted if name in seen), None)
    if found is None:
        raise no_stage(stage, program, seen)
    return found


def stage_text(result: Any) -> str:
    """A stage's result as text; ends with a newline."""
    if isinstance(result, Graph):
        return print_graph(result)
    if isinstance(result, Tree):
        from flowc.syntax.dump import dump_tree

        return dump_tree(result)
    from flowc_runtime.planfile import plan_text

    return plan_text(result)


def stage_facts(result: Any) -> dict[str, Any]:
    """A stage's result as plain data: a graph node by node, a plan in numbers, a tree as text."""
    if isinstance(result, Graph):
        return graph_facts(result)
    if isinstance(result, Plan):
        return plan_facts(result)
    return {"text": stage_text(result)}


def graph_facts(graph: Graph) -> dict[str, Any]:
    """A graph as plain data. Values are called as in its text: `%3`, `%3.1`."""
    return {
        "nodes": [
            {
                "id": f"%{node.id}",
                "op": node.op,
                "operands": [str(ref) for ref in node.operands],
                "attrs": {name: value_text(value) for name, value in node.attrs.items()},
                "types": [str(type_) for type_ in node.types],
                "path": node.origin.path,
                "at": str(node.origin.span) if node.origin.span else "",
                **({"body": graph_facts(node.body)} if node.body is not None else {}),
            }
            for node in graph.nodes
        ],
        "outputs": {output.name: str(output.value) for output in graph.outputs},
        "updates": {f"%{update.variable}": str(update.value) for update in graph.updates},
    }


def picture_of(result: Any, title: str, program: str | None, depth: int | None) -> Picture:
    """The picture of a graph, or of one program of a plan: `train`, unless another is named."""
    if isinstance(result, Graph):
        return draw_graph(result, title, depth)
    assert isinstance(result, Plan)
    chosen = program or next((p for p in PROGRAMS if p in result.programs), "train")
    if chosen not in result.programs:
        raise no_program(chosen, result.programs)
    flow = flow_of_program(result, result.programs[chosen])
    return draw_flow(flow, f"{title}, program {chosen}", depth)


def of_program(plan: Plan, program: str | None) -> Plan:
    """The plan, or what is left of it for one program; NotShown where it has no such."""
    if program is None:
        return plan
    if program not in plan.programs:
        raise no_program(program, plan.programs)
    return only(plan, program)
