"""Running a graph through the planner and the executor, for comparison with the oracle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph
from flowc.plan.emit import make_plan
from flowc_runtime import executor
from flowc_runtime.device import Device
from flowc_runtime.executor import Session
from flowc_runtime.expression import parse_expression
from flowc_runtime.plan import Plan, Program
from flowc_runtime.types import parse_type

Arrays = Mapping[str, np.ndarray]


def plan_of(graph: Graph, name: str = "train") -> Plan:
    return make_plan("m", "0" * 64, {name: graph})


def program_of(graph: Graph) -> Program:
    return plan_of(graph).programs["train"]


def execute(
    graph: Graph, inputs: Arrays, variables: Arrays, device: Device | None = None
) -> dict[str, np.ndarray]:
    """The outputs by name, and the new value of each updated variable as `PATH <-`."""
    session = Session(plan_of(graph, "step"), threads=None, device=device)
    return outputs_of(session, graph, inputs, variables)


def outputs_of(
    session: Session, graph: Graph, inputs: Arrays, variables: Arrays
) -> dict[str, np.ndarray]:
    """As `execute`, of a session of the graph's plan."""
    for name, view in session.inputs("step").items():
        view[...] = inputs[name]
    for path, held in session.variables.items():
        held[...] = variables[path]
    named = session.run("step")
    for update in graph.updates:
        path = graph.nodes[update.variable].attrs["path"]
        named[f"{path} <-"] = session.variables[path].copy()
    return named


def assert_agree(found: Arrays, wanted: Arrays) -> None:
    """The same bits; or, where the tests are run with machine code, within its last places."""
    exact = executor.NumpyDevice.name == "numpy"
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        if exact or value.dtype.kind != "f":
            np.testing.assert_array_equal(found[name], value, err_msg=name)
        else:
            np.testing.assert_allclose(found[name], value, 2e-5, 2e-6, err_msg=name)


def fused(
    b: Builder, lines: tuple[str, ...], *operands: Value, shape: tuple[int, ...]
) -> tuple[Value, ...]:
    """Appends an expression kernel whose results have the types of their lines."""
    types = parse_expression(lines).result_types(tuple(v.type for v in operands), shape)
    attrs = {"lines": lines, "shape": shape}
    return b.append("fused", tuple(v.ref for v in operands), attrs, types)


def variables(b: Builder, type: str, *paths: str) -> tuple[Value, ...]:
    return tuple(b.variable(path, "param", parse_type(type)) for path in paths)
