"""The pages of what has a name: the compiler's functions, and the library's definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowc.diagnostic import Sink
from flowc.lower.builtins import FAMILIES
from flowc.lower.values import REQUIRED, Builtin
from flowc.source import Source
from flowc.syntax.parse import parse
from flowc.syntax.tree import Block, Optimizer, Schedule, Tree
from pages.markdown import ROOT, Lines, literal, page, sentence


def functions() -> str:
    intro = [
        "What the compiler provides; the [library](library.md) is written in terms of these. No",
        "import is needed. A parameter in brackets may be left out. `x` is a tensor; functions",
        "of single elements also take numbers, and are computed while compiling then.",
        "",
        "Besides functions there is `pi`, and each dtype by its name.",
        "",
    ]
    return page("Functions", intro, *map(_function_family, FAMILIES.items()))


def _function_family(named: tuple[str, tuple[Builtin, ...]]) -> Lines:
    yield f"## {named[0].capitalize()}"
    yield ""
    for function in named[1]:
        yield f"### {function.name}"
        yield ""
        signature = f"{function.name}({', '.join(map(_parameter, function.parameters))})"
        yield f"`{signature}` — {sentence(function.doc)}"
        yield ""


def _parameter(parameter: Any) -> str:
    if parameter.default is REQUIRED:
        return str(parameter.name)
    if parameter.default is None:
        return f"[{parameter.name}]"
    default = parameter.default
    shown = default if parameter.name == "dtype" else literal(default)
    return f"{parameter.name} = {shown}"


def library() -> str:
    intro = [
        "Layers, losses, initialisers, optimizers and schedules, in the language itself. The names",
        "need no import. The text of a module is in `flowc/std`: read it, import from it under",
        "another name, or copy what you want to change into your own file.",
        "",
        "A type such as `t[..., n]` takes tensors of any float dtype `t` and any number of",
        "dimensions before the last; see [blocks](language.md#blocks).",
        "",
    ]
    modules = sorted((ROOT / "flowc" / "std").glob("*.flow"))
    return page("Library", intro, *map(_module, modules))


def _module(path: Path) -> Lines:
    sink = Sink()
    tree = parse(Source(path.name, path.read_text(encoding="utf-8")), sink)
    assert not sink.diagnostics, sink.diagnostics
    yield f"## std.{path.stem}"
    yield ""
    yield sentence(_comment_above(tree, 2))
    yield ""
    for item in tree.items:
        if isinstance(item, (Block, Optimizer, Schedule)):
            signature = " ".join(item.span.text.partition("{")[0].split())
            comment = _comment_above(tree, item.span.line)
            yield f"### {item.name.text}"
            yield ""
            yield f"`{signature}`" + (f" — {sentence(comment)}" if comment else "")
            yield ""


def _comment_above(tree: Tree, line: int) -> str:
    """The comment lines that end right above a line, as one text."""
    by_line = {c.span.line: c.text.lstrip("# ") for c in tree.comments}
    lines: list[str] = []
    while line - 1 in by_line:
        line -= 1
        lines.insert(0, by_line[line])
    return " ".join(lines)
