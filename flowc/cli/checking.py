"""Checks files one by one, and applies the repairs that diagnostics offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from flowc.cli.models import read_model, write_text
from flowc.diagnostic import Diagnostic, Fix, Sink, Stop
from flowc.source import Source, Span

if TYPE_CHECKING:
    from flowc.driver import Checked
    from flowc.syntax.tree import Tree

ROUNDS = 10  # of repairs: what one of them uncovers, the next may repair
LEAVES = ("input", "variable", "const", "dim")


@dataclass(frozen=True)
class Report:
    """What was found in a file, and what it amounts to where it is sound.

    `facts` counts `ops` and `parameters`, or the `definitions` of a file without a model.
    """

    path: Path
    diagnostics: tuple[Diagnostic, ...]
    facts: Mapping[str, int] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        return all(d.severity != "error" for d in self.diagnostics)

    def fails(self, strict: bool) -> bool:
        return bool(self.diagnostics) if strict else not self.sound

    @property
    def summary(self) -> str:
        """`11 ops, 25,450 parameters, 0 warnings`."""
        facts = {**self.facts, "warnings": len(self.diagnostics)}
        return ", ".join(counted(count, kind) for kind, count in facts.items())


def check_file(path: Path, defines: Mapping[str, str]) -> Report:
    """Checks a model; a file without one, whose blocks others import, is only parsed."""
    sink, facts = Sink(), {}
    try:
        facts = _facts(read_model(path, sink), sink, defines)
    except Stop:
        pass
    return Report(path, tuple(sink.diagnostics), facts)


def _facts(source: Source, sink: Sink, defines: Mapping[str, str]) -> dict[str, int]:
    from flowc.driver import Options, check, check_learning
    from flowc.syntax.parse import parse

    found = Sink()
    tree = parse(source, found)
    if _is_library(tree):
        sink.diagnostics += found.diagnostics
        return {"definitions": len(tree.items)}
    checked = check(source, sink, Options(defines))
    check_learning(checked, sink)
    return {"ops": _ops(checked), "parameters": _parameters(checked)}


def _is_library(tree: Tree) -> bool:
    """Whether the text is there to be imported: it defines something, and trains nothing.

    A file for `--place`, which holds one place section, is like that as well.
    """
    kinds = {type(item).__name__ for item in tree.items}
    if kinds - {"Version"} == {"Place"}:
        return True
    return bool(kinds & {"Block", "Optimizer", "Schedule"}) and not kinds & {
        "Model", "Train", "Data", "Place"
    }  # fmt: skip


def _ops(checked: Checked) -> int:
    """The operations of a step forward."""
    from flowc.graph.walk import live_nodes

    graph = checked.train.graph
    live = live_nodes(graph)
    return sum(node.id in live and node.op not in LEAVES for node in graph.nodes)


def _parameters(checked: Checked) -> int:
    variables = checked.train.variables.values()
    return sum(prod(v.tensor.type.sizes) for v in variables if v.kind == "param")


def counted(count: int, kind: str) -> str:
    """`1 op`, `2 ops`."""
    return f"{count:,} {kind.removesuffix('s') if count == 1 else kind}"


def all_diagnostics(reports: Iterable[Report]) -> list[Diagnostic]:
    """Those of all files; what several files say of one that they import, once."""
    found = Sink()
    for report in reports:
        for diagnostic in report.diagnostics:
            found.report(diagnostic)
    return found.diagnostics


def totals(reports: Iterable[Report]) -> str:
    """`2 errors, 1 warning`."""
    found = all_diagnostics(reports)
    errors = sum(d.severity == "error" for d in found)
    return f"{counted(errors, 'errors')}, {counted(len(found) - errors, 'warnings')}"


# --- repairs ----------------------------------------------------------------------------------


def repair(path: Path, defines: Mapping[str, str]) -> int:
    """Applies the fixes that diagnostics offer, until none is left; the number of them."""
    applied = 0
    for _ in range(ROUNDS):
        report = check_file(path, defines)
        fixes = _fixes(path, report.diagnostics)
        if not fixes:
            break
        write_text(path, apply(fixes))
        applied += len(fixes)
    return applied


def _fixes(path: Path, diagnostics: Sequence[Diagnostic]) -> list[Fix]:
    """The fixes of this file, from its start on, without those that touch an earlier one's text."""
    own = [d.fix for d in diagnostics if d.fix and d.fix.span.source.name == str(path)]
    chosen: list[Fix] = []
    for fix in sorted(own, key=lambda f: (f.span.start, f.span.end)):
        if not chosen or _apart(chosen[-1].span, fix.span):
            chosen.append(fix)
    return chosen


def _apart(before: Span, span: Span) -> bool:
    """Whether both can be replaced: neither overlaps, nor inserts at the same place."""
    return span.start >= before.end and span.start > before.start


def apply(fixes: Sequence[Fix]) -> str:
    """The text with the spans replaced; the fixes are of one source, in order, apart."""
    text = fixes[0].span.source.text
    for fix in reversed(fixes):
        text = text[: fix.span.start] + fix.text + text[fix.span.end :]
    return text
