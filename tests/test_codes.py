"""Every code that flowc can show has an explanation, and the examples in it are true."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from texts import complaints

from flowc.explain import Explanation, explanations

ROOT = Path(__file__).parent.parent
EXPLAINED = explanations()
WITH_EXAMPLES = [e for e in EXPLAINED.values() if e.failing]


def codes_in_the_source() -> set[str]:
    """The first argument of every `Diagnostic(...)` and `Warning(...)` of an event."""
    found = set()
    for path in (ROOT / "flowc").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if named and node.func.id == "Diagnostic":  # type: ignore[attr-defined]
                codes = [n for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant)]  # type: ignore[attr-defined]
                found.update(str(n.value) for n in codes)
    return found


def test_every_code_of_the_compiler_is_explained() -> None:
    assert codes_in_the_source() - set(EXPLAINED) == set()


@pytest.mark.parametrize("explanation", WITH_EXAMPLES, ids=lambda e: e.code)
def test_the_failing_example_gets_the_code(explanation: Explanation) -> None:
    assert explanation.code in complaints(explanation.failing)


@pytest.mark.parametrize("explanation", WITH_EXAMPLES, ids=lambda e: e.code)
def test_the_fixed_example_is_sound(explanation: Explanation) -> None:
    assert complaints(explanation.fixed) == []
