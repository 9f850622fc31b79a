"""ONNX's own node cases through import and run: the figure, and the rest by name with the reason.

    python tests/onnx_cases.py [--list] [PATTERN]

Counted are the cases whose nodes are ONNX's core operators and whose tensors are float32, int64,
int32 or bool. Inputs that a text has to know (shapes, axes, counts) are given with the case's own
value, as `--value` does on the command line.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from flowc.diagnostic import Sink
from flowc.driver import Options, plan_of
from flowc.onnx.errors import OnnxError
from flowc.onnx.importer import translate
from flowc.onnx.inputs import Wishes
from flowc.onnx.read import model_of
from flowc.onnx.write import Written, write
from flowc_runtime.executor import Session

COUNTED_TYPES = {1, 6, 7, 9}
LIST = Path(__file__).parent / "onnx_cases_failing.txt"
ROUNDS = 6  # of asking for values that must be known


@dataclass(frozen=True)
class Case:
    name: str
    model: Any
    data: list[tuple[list[np.ndarray], list[np.ndarray]]]
    rtol: float
    atol: float


@dataclass(frozen=True)
class Outcome:
    """`reason` is empty where the case passed; `given` are the inputs that had to be known.

    `left` counts the inputs that the text still has: with none, all was computed while importing.
    """

    name: str
    reason: str
    given: tuple[str, ...] = ()
    left: int = 0


def cases(operators: Sequence[str] = ()) -> Iterator[Case]:
    """The cases that count, in the order of their names: all, or those of some of its files.

    A file there makes its cases when it is imported; making all of them takes seconds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case import node

        if operators:
            for operator in operators:
                import_module(f"{node.__name__}.{operator}")
            found = list(node._NodeTestCases)
        else:
            found = node.collect_testcases(None)
    for case in sorted(found, key=lambda c: c.name):
        if counts(case.model):
            yield Case(case.name, case.model, case.data_sets, case.rtol, case.atol)


def counts(model: Any) -> bool:
    if model.functions or any(n.domain not in ("", "ai.onnx") for n in model.graph.node):
        return False
    return all(_tensors(model.graph))


def _tensors(graph: Any) -> Iterator[bool]:
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.type.HasField("tensor_type") and (
            value.type.tensor_type.elem_type in COUNTED_TYPES)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
            if attribute.HasField("t"):
                yield attribute.t.data_type in COUNTED_TYPES


def attempt(case: Case) -> Outcome:
    """Imports, compiles, runs and compares one case."""
    inputs, expected = case.data[0]
    names = [i.name for i in case.model.graph.input]
    given = dict(zip(names, inputs, strict=True))
    known: tuple[str, ...] = ()
    try:
        written, known = _imported(case, given)
        outputs = run(written, given)
        names_out = [o.name for o in case.model.graph.output]
        for name, want in zip(names_out, expected, strict=True):
            _compare(outputs[written.outputs[name]], np.asarray(want), case)
    except OnnxError as error:
        reason = "; ".join(re.sub(r" at node .*?\(makes .*?\)", "", n) for n in error.notes[:1])
        return Outcome(case.name, reason or str(error), known)
    except AssertionError as error:
        return Outcome(case.name, f"other numbers: {' '.join(str(error).split())[:160]}", known)
    return Outcome(case.name, "", known, len(written.inputs))


def _imported(case: Case, given: dict[str, np.ndarray]) -> tuple[Written, tuple[str, ...]]:
    model = model_of(case.model.SerializeToString(), Path(f"{case.name}.onnx"))
    shapes = {n: tuple(v.shape) for n, v in given.items() if isinstance(v, np.ndarray)}
    values: dict[str, np.ndarray] = {}
    for _ in range(ROUNDS):
        try:
            rest = {n: s for n, s in shapes.items() if n not in values}
            written = write(translate(model, Wishes(rest, values)), "case", "")
            return written, tuple(values)
        except OnnxError as error:
            wanted = [n for n in error.wanted if n in given]
            if not wanted or any(_is_data(given[n]) for n in wanted):
                raise
            values |= {n: np.asarray(given[n]) for n in wanted}
    raise OnnxError("onnx-value", "values are wanted without end")


def _is_data(value: np.ndarray) -> bool:
    """Whether this is what a model computes with, rather than a size, an axis or a bound."""
    return np.asarray(value).ndim > 1


def run(written: Written, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs for inputs by their names in ONNX."""
    sink = Sink()
    plan = plan_of(written.checked, sink, Options(), lambda stage, value: None)
    session = Session(plan, 1)
    for path, value in written.weights.items():
        if path in session.variables:
            session.variables[path][...] = value
    views = session.inputs("predict")
    for onnx_name, name in written.inputs.items():
        if name in views:
            views[name][...] = given[onnx_name]
    outputs = session.run("predict", seed=1, step=0)
    return {n.removeprefix("output."): np.array(v) for n, v in outputs.items()}


def _compare(got: np.ndarray, want: np.ndarray, case: Case) -> None:
    assert got.shape == want.shape, f"shape {got.shape}, not {want.shape}"
    assert got.dtype == want.dtype, f"dtype {got.dtype}, not {want.dtype}"
    np.testing.assert_allclose(got, want, rtol=case.rtol, atol=max(case.atol, 1e-7))


def listed() -> dict[str, str]:
    """The cases that are known not to pass, with the reason."""
    lines = [line.split(": ", 1) for line in LIST.read_text().splitlines() if line]
    return {name: reason for name, reason in lines}


def write_list(failed: list[Outcome]) -> None:
    """Numbers that differ are told as such, since the digits depend on the machine."""
    reasons = {o.name: "other numbers" if o.reason.startswith("other numbers") else o.reason
               for o in failed}  # fmt: skip
    LIST.write_text("".join(f"{name}: {reason}\n" for name, reason in sorted(reasons.items())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--list", action="store_true", help="name the cases that do not pass")
    parser.add_argument("--update", action="store_true", help=f"write them into {LIST.name}")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    outcomes = [attempt(c) for c in cases() if arguments.pattern in c.name]
    failed = [o for o in outcomes if o.reason]
    if arguments.list or arguments.pattern:
        for outcome in failed:
            print(f"{outcome.name}: {outcome.reason}")
    if arguments.update:
        write_list(failed)
    passed, total = len(outcomes) - len(failed), len(outcomes)
    whole = sum(not o.reason and not o.left for o in outcomes)
    told = Counter(bool(o.given) for o in outcomes if not o.reason)
    print(f"{passed} of {total} cases pass ({100 * passed / total:.1f} %), "
          f"{told[True]} of them with inputs given as --value, {whole} of them without any input "
          "left to the text")


if __name__ == "__main__":
    main()
