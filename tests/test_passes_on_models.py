"""The passes on whole models: a step of training gives the same numbers with and without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluate import evaluate
from zoo import SMALL

from flowc.diagnostic import Sink
from flowc.driver import Options, compile
from flowc.graph.bind import bind_sizes
from flowc.graph.graph import Graph, Node
from flowc.source import Source

MODELS = sorted(
    path for path in (Path(__file__).parents[1] / "models").glob("*.flow")
    if path.stem not in SMALL
)  # fmt: skip
BATCH = 3


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_step_of_training_is_the_same_without_the_passes(path: Path) -> None:
    stages: dict[str, Any] = {}
    options = Options(defines={"train.batch": str(BATCH)})
    source = Source(path.name, path.read_text(), path.parent)
    compile(source, Sink(), options, stages.__setitem__)
    plain = bind_sizes(stages["train.update"], {"batch": BATCH})
    inputs, variables = _values(plain)
    expected = evaluate(plain, inputs, variables)
    found = evaluate(stages["train.optimised"], inputs, variables)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        # Only sums in another order may differ: by rounding, relative to the largest element.
        tolerance = 1e-5 * float(np.abs(array).max(initial=1e-3))
        np.testing.assert_allclose(found[name], array, rtol=0, atol=tolerance, err_msg=name)


def _values(graph: Graph) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Plausible inputs and variables: what is squared is positive, what is an index is small."""
    random = np.random.default_rng(3)
    inputs = {n.attrs["name"]: _input(n, random) for n in graph.nodes if n.op == "input"}
    variables = {n.attrs["path"]: _variable(n, random) for n in graph.nodes if n.op == "variable"}
    return inputs, variables


def _input(node: Node, random: np.random.Generator) -> np.ndarray:
    sizes = node.type.sizes
    if node.type.kind == "int":
        value = random.integers(1, 3, sizes)
    else:  # what a logarithm is taken of is positive, too
        value = np.abs(random.normal(0, 1, sizes))
    return np.array(value, node.type.storage)


def _variable(node: Node, random: np.random.Generator) -> np.ndarray:
    sizes, is_param = node.type.sizes, node.attrs["kind"] == "param"
    value = random.normal(0, 0.2, sizes) if is_param else random.uniform(0.05, 0.3, sizes)
    return np.array(value, node.type.storage)
