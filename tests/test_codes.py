"""Every code that flowc can show has an explanation, and the examples in it are true."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from texts import complaints

from flowc.explain import Explanation, explanations

ROOT = Path(__file__).parent.parent
EXPLAINED = explanations()
WITH_EXAMPLES = [e for e in EXPLAINED.values() if e.failing]
PAGES = sorted((ROOT / "flowc" / "codes").glob("*.md"))

# What the compiler only says when a command asks for more than a check.
OF_COMMANDS: set[str] = set()

# What is made with a code as its first argument.
CODED = {
    "Diagnostic", "DataError", "CheckpointError", "RunError", "NotShown", "Warning", "Error",
    "ClusterError", "CertError", "WorkError",
}  # fmt: skip


def coded() -> Iterator[tuple[str, ast.Call]]:
    """Every construction of something that has a code, in the compiler and in the runtime."""
    for room in ("flowc", "runtime"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    if node.func.id in CODED and node.args:
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def texts_in(node: ast.expr) -> set[str]:
    """The texts that an expression can come to: it is one, or chooses between some."""
    if isinstance(node, ast.IfExp):
        return texts_in(node.body) | texts_in(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def test_every_code_is_explained() -> None:
    used = {code: where for where, call in coded() for code in texts_in(call.args[0])}
    assert len(used) > 80
    assert {code: where for code, where in used.items() if code not in EXPLAINED} == {}


def test_the_tour_meets_every_code_of_the_compiler() -> None:
    compiler = ("flowc/lower", "flowc/syntax")
    used = {c for w, call in coded() if w.startswith(compiler) for c in texts_in(call.args[0])}
    met = {path.stem for path in (ROOT / "golden" / "errors").glob("*.txt")}
    assert used - met == OF_COMMANDS


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_says_what_is_wrong_and_shows_it(page: Path) -> None:
    explanation = EXPLAINED[page.stem]
    assert len(explanation.text.split()) >= 20
    assert bool(explanation.failing) == bool(explanation.fixed)


@pytest.mark.parametrize("explanation", WITH_EXAMPLES, ids=lambda e: e.code)
def test_the_failing_example_gets_the_code(explanation: Explanation) -> None:
    assert explanation.code in complaints(explanation.failing)


@pytest.mark.parametrize("explanation", WITH_EXAMPLES, ids=lambda e: e.code)
def test_the_fixed_example_is_sound(explanation: Explanation) -> None:
    assert complaints(explanation.fixed) == []
