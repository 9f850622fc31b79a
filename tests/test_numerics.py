"""Every op and every block against PyTorch in f64, forward and gradient, within 1e-4."""

import re
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numerics.agreement import disagreements
from numerics.case import Case
from numerics.cases import FAMILIES
from numerics.flow_side import Compiled, compile_case
from numerics.references import SEED, reference

from flowc.diagnostic import Sink
from flowc.lower.builtins import BUILTINS
from flowc.lower.values import Builtin
from flowc.source import Source
from flowc.syntax.parse import parse
from flowc.syntax.tree import Block
from flowc_runtime.ops import CATALOG

LIBRARY = Path(__file__).parent.parent / "flowc" / "std"
CASES = [(family, case) for family, cases in FAMILIES.items() for case in cases]
OTHER_SEEDS = (1, 2, 3)

# What no case can hold against PyTorch, and why.
OPS_APART = {
    "dim": "a size that is still open; cases have all sizes known",
    "row_totals": "made by a pass of other ops: tests/test_sparse_updates.py",
    "put_rows": "made by a pass of other ops: tests/test_sparse_updates.py",
    "random_uniform": "the bits are Philox's own: tests/test_random.py",
    "random_normal": "the bits are Philox's own: tests/test_random.py",
    "orthogonalize": "one of many frames: tests/test_catalog.py, tests/test_random.py",
}
FUNCTIONS_APART = {
    **{name: OPS_APART[name] for name in ("random_uniform", "random_normal", "orthogonalize")},
    **dict.fromkeys(
        ("shape", "rank", "dtype", "is_number", "product", "count"), "a fact while compiling"),
    **dict.fromkeys(("fill", "zeros_like", "ones_like"), "constants: tests/test_language.py"),
}
BLOCKS_APART = {
    "window_sizes": "a list while compiling",
    "adaptive_parts": "a part of adaptive_avg_pool",
    "shortcut": "a part of basic_residual",
    "causal_mask": "a part of attention",
    "lstm_cell": "a round of lstm",
    "gru_cell": "a round of gru",
    "to_heads": "a part of attention",
    "from_heads": "a part of attention",
}
MODULES_APART = {
    "initialisers": "random first values: tests/test_random.py",
    "random": "random numbers: tests/test_random.py",
    "optimizers": "steps, not functions: tests/test_optimizers.py",
    "schedules": "functions of the step: tests/test_optimizers.py",
}


@cache
def compiled(case_name: str) -> Compiled:
    return compile_case(next(case for _, case in CASES if case.name == case_name))


@cache
def words() -> frozenset[str]:
    """All names that the texts of the cases say."""
    return frozenset(re.findall(r"\w+", " ".join(case.flow for _, case in CASES)))


@pytest.mark.parametrize(("family", "case"), CASES, ids=[str(c) for _, c in CASES])
def test_a_case_agrees_with_what_torch_said(family: str, case: Case) -> None:
    expected = reference(family, case)
    assert expected, "no reference: run tests/numerics/write_references.py, which needs torch"
    made = compiled(case.name)
    assert disagreements(made.run(made.values(SEED)), expected, case.each) == []


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed; the committed "
                    "references are held against instead: pip install torch")
@pytest.mark.parametrize("case", [c for _, c in CASES], ids=str)
def test_a_case_agrees_with_torch_for_other_operands(case: Case) -> None:
    import torch
    from numerics.torch_side import torch_says

    made = compiled(case.name)
    for seed in OTHER_SEEDS:
        values = made.values(seed)
        said = torch_says(torch, case, values, made.read)
        assert disagreements(made.run(values), said, case.each) == [], seed


def test_no_two_cases_have_one_name() -> None:
    assert len({case.name for _, case in CASES}) == len(CASES)


def test_a_disagreement_is_seen() -> None:
    right = np.array([1.0, -200.0, np.inf])
    assert disagreements({"y": right + [0, 0.01, 0]}, {"y": right}) == []
    for wrong in ([0, 0.03, 0], [0, np.nan, 0], [0, 0, np.nan], [np.inf, 0, 0]):
        assert disagreements({"y": right + wrong}, {"y": right})
    assert disagreements({"y": right}, {"y": right, "gradient.x": right})
    assert disagreements({"y": right[:2]}, {"y": right})


@pytest.mark.parametrize(("name", "naive"), [
    ("expm1", lambda x: np.exp(x) - 1),
    ("log1p", lambda x: np.log(1 + x)),
    ("sinh", lambda x: (np.exp(x) - np.exp(-x)) / 2),
    ("asinh", lambda x: np.log(x + np.sqrt(x * x + 1))),
])
def test_a_formula_that_cancels_near_0_is_seen(
    name: str, naive: Callable[[np.ndarray], np.ndarray]
) -> None:
    case = compiled(f"{name} near 0").case
    x = case.draw("x", case.operands["x"], SEED)
    expected = {"y": reference("elementwise", case)["y"]}
    assert x.dtype == np.float32 == naive(x).dtype
    assert disagreements({"y": naive(x)}, expected, case.each)
    assert disagreements({"y": getattr(np, name.replace("asinh", "arcsinh"))(x)}, expected,
                         case.each) == []


def test_every_op_of_the_catalog_is_in_a_case() -> None:
    used = set().union(*(compiled(case.name).ops for _, case in CASES))
    assert sorted(CATALOG.keys() - used - OPS_APART.keys()) == []
    assert sorted(used & OPS_APART.keys()) == []


def test_every_function_of_the_language_is_in_a_case() -> None:
    functions = {name for name, value in BUILTINS.items() if isinstance(value, Builtin)}
    assert sorted(functions - words() - FUNCTIONS_APART.keys()) == []


@pytest.mark.parametrize("module", sorted(LIBRARY.glob("*.flow")), ids=lambda path: path.stem)
def test_every_block_of_the_library_is_in_a_case(module: Path) -> None:
    tree = parse(Source(module.name, module.read_text(encoding="utf-8")), Sink())
    blocks = {item.name.text for item in tree.items if isinstance(item, Block)}
    if module.stem not in MODULES_APART:
        assert sorted(blocks - words() - BLOCKS_APART.keys()) == []
