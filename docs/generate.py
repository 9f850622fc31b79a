"""Writes the pages of docs/reference that say what is in the code; `--check` only compares."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from flowc.cli import exits
from flowc.cli.main import flowc as command_line
from flowc.diagnostic import Sink
from flowc.explain import Explanation, explanations
from flowc.lower.builtins import FAMILIES as FUNCTION_FAMILIES
from flowc.lower.settings import SETTINGS, TrainSettings
from flowc.lower.values import REQUIRED, Builtin
from flowc.source import Source
from flowc.syntax.parse import parse
from flowc.syntax.tree import Block, Optimizer, Schedule, Tree
from flowc_runtime.checkpoint.errors import CODES as checkpoint_codes
from flowc_runtime.data.arguments import Parameter
from flowc_runtime.data.errors import CODES as data_codes
from flowc_runtime.data.sources import SOURCES
from flowc_runtime.data.transform import TRANSFORMS
from flowc_runtime.ops import FAMILIES as OP_FAMILIES
from flowc_runtime.ops.op import Op, Sample
from flowc_runtime.runfolder.errors import CODES as run_codes
from flowc_runtime.training.agenda import FIRST_STEPS, VALIDATIONS_MAX
from flowc_runtime.training.errors import CODES as training_codes
from flowc_runtime.training.loop import SAVE_SECONDS
from flowc_runtime.types import parse_type

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- Written by docs/generate.py from the code; `make docs` writes it anew. -->"

Lines = Iterator[str]


def page(title: str, *parts: Iterable[str]) -> str:
    return "\n".join([f"# {title}", "", NOTE, "", *(line for part in parts for line in part)])


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Lines:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + " --- |" * len(heads)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""


def sentence(text: str) -> str:
    """On one line, with a full stop."""
    whole = " ".join(text.split())
    return whole if whole.endswith(".") else whole + "."


def literal(value: Any) -> str:
    """A value as the language writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return str(value)


# --- ops --------------------------------------------------------------------------------------


def ops() -> str:
    intro = [
        "The primitives that a plan may name, with the fused kernels, loops and copies that the",
        "planner makes of them. The language has [functions](functions.md) for them; a graph in",
        "`flowc compile --emit graph` is made of nothing else.",
        "",
    ]
    return page("Ops", intro, *(_op_family(name, family) for name, family in OP_FAMILIES.items()))


def _op_family(name: str, family: tuple[Op, ...]) -> Lines:
    yield f"## {name.capitalize()}"
    yield ""
    for op in family:
        yield f"### {op.name}"
        yield ""
        operands = ", ".join(op.operands) + (", ..." if op.variadic else "")
        yield f"`{op.name}({operands})` — {sentence(op.doc)}"
        yield ""
        yield from _op_facts(op)
        yield ""


def _op_facts(op: Op) -> Lines:
    for attr in op.attrs:
        default = "" if attr.required else f" (`{literal(attr.default)}`)"
        yield f"- `{attr.name}`: {attr.doc}{default}"
    if op.kernel is not None:
        kinds = ["elementwise"] if op.elementwise else []
        kinds.append("differentiable" if op.gradient else "no derivative")
        yield f"- {', '.join(kinds)}"
    if op.samples:
        yield f"- for example {_sample(op, op.samples[0])}"


def _sample(op: Op, sample: Sample) -> str:
    results = op.infer(tuple(map(parse_type, sample.types)), sample.attrs)
    attrs = [f"{key}={literal(value)}" for key, value in sample.attrs.items()]
    inner = ", ".join([*sample.types, *attrs])
    return f"`{op.name}({inner})` gives `{', '.join(map(str, results))}`"


# --- functions and library --------------------------------------------------------------------


def functions() -> str:
    intro = [
        "What the compiler provides; the [library](library.md) is written in terms of these. No",
        "import is needed. A parameter in brackets may be left out. `x` is a tensor; functions",
        "of single elements also take numbers, and are computed while compiling then.",
        "",
        "Besides functions there is `pi`, and each dtype by its name.",
        "",
    ]
    return page("Functions", intro, *map(_function_family, FUNCTION_FAMILIES.items()))


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


# --- settings and data ------------------------------------------------------------------------

SETTING_DOCS = {
    "data": "the examples to learn from: a `data` item, and transforms",
    "validate": "the examples to measure on",
    "optimizer": "how parameters are updated, see [library](library.md#stdoptimizers)",
    "batch": "examples in a step; the dimension `batch`",
    "epochs": "how many times to go through the data",
    "steps": "how many steps to take; instead of `epochs`",
    "seed": "of first values, shuffling and every random op",
    "clip_norm": "the most that the common norm of all gradients may be",
    "clip_value": "the most that an element of a gradient may be, either way",
    "freeze": "parameters that do not learn",
    "init": "weights to start from: a safetensors file, a checkpoint or a run folder",
    "log_every": "steps between two entries of the log; without it, the first "
    f"{FIRST_STEPS} steps and then some ten a second",
    "validate_every": "steps between two validations; without it, at the ends of epochs, at most "
    f"{VALIDATIONS_MAX} times",
    "checkpoint_every": "steps between two checkpoints; without it, every "
    f"{SAVE_SECONDS:.0f} seconds; one is always saved at the start and at the end",
}
SETTING_DEFAULTS = {"data": "needed", "validate": "", "optimizer": "`sgd()`", "epochs": "1"}


def settings() -> str:
    intro = [
        "What a `train` section may set, one setting a line. On the command line,",
        "`-D train.NAME=VALUE` replaces a setting; `--steps`, `--epochs` and `--seed` are short for",
        "three of them.",
        "",
    ]
    assert SETTING_DOCS.keys() == SETTINGS.keys(), SETTING_DOCS.keys() ^ SETTINGS.keys()
    defaults = {field.name: field.default for field in fields(TrainSettings)}
    rows = [
        (f"`{name}`", _quoted(SETTINGS[name].words), _setting_default(name, defaults),
         SETTING_DOCS[name])
        for name in SETTINGS
    ]
    return page("Settings of `train`", intro, table(("setting", "takes", "default", "what"), rows))


def _quoted(text: str) -> str:
    """Texts of the language, which Markdown would read otherwise, as code."""
    return re.sub(r'"[^"]*"', r"`\g<0>`", text)


def _setting_default(name: str, defaults: Mapping[str, Any]) -> str:
    if name in SETTING_DEFAULTS:
        return SETTING_DEFAULTS[name]
    return "" if defaults[name] is None else str(defaults[name])


def data() -> str:
    intro = [
        "What a `data` item is made of: a source, then any number of transforms, each behind",
        "`|>`. A file that is damaged, or does not fit the model's inputs, is an error that names",
        "the file, and the row where it has rows.",
        "",
    ]
    sources = _calls("Sources", ((s.name, s.doc, s.parameters) for s in SOURCES.values()))
    transforms = _calls("Transforms", ((t.name, t.doc, t.parameters) for t in TRANSFORMS.values()))
    return page("Data", intro, sources, transforms)


def _calls(title: str, calls: Iterable[tuple[str, str, tuple[Parameter, ...]]]) -> Lines:
    yield f"## {title}"
    yield ""
    for name, doc, parameters in calls:
        yield f"### {name}"
        yield ""
        yield sentence(doc)
        yield ""
        rows = [(f"`{p.name}`", _quoted(p.kind.name.rstrip(",")), _default(p), _quoted(p.doc))
                for p in parameters]
        yield from table(("parameter", "takes", "default", "what"), rows)


def _default(parameter: Parameter) -> str:
    if parameter.required:
        return "needed, any number" if parameter.variadic else "needed"
    return "" if parameter.default is None else f"`{literal(parameter.default)}`"


# --- errors -----------------------------------------------------------------------------------

# The runtime's codes are in its rooms' own tables; where another one is used decides its group.
RUNTIME_GROUPS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("Data at run time", data_codes),
    ("Training", training_codes),
    ("Checkpoints", checkpoint_codes),
    ("Run folders", run_codes),
)
GROUPS = (
    ("The text", "flowc/syntax"),
    ("Names", "flowc/lower/errors/names.py"),
    ("Files and imports", "flowc/lower/errors/modules.py"),
    ("Types and shapes", "flowc/lower/errors/shapes.py"),
    ("Values", "flowc/lower/errors/values.py"),
    ("Calls", "flowc/lower/errors/calls.py"),
    ("Statements", "flowc/lower/errors/structure.py"),
    ("Hyperparameters, data, train and place", "flowc/lower/errors/settings.py"),
    ("Commands", "flowc"),
)


def errors() -> str:
    intro = [
        "The codes of all messages. `flowc explain CODE` tells more about one, with an example",
        "that fails and the same one put right.",
        "",
    ]
    groups: dict[str, list[Explanation]] = {t: [] for t, _ in (*GROUPS, *RUNTIME_GROUPS)}
    texts = {title: _source_text(ROOT / place) for title, place in GROUPS}
    for explanation in explanations().values():
        groups[_group_of(explanation.code, texts)].append(explanation)
    return page("Errors and warnings", intro, *map(_group, groups.items()), _exit_codes())


def _group_of(code: str, texts: Mapping[str, str]) -> str:
    of_runtime = next((title for title, codes in RUNTIME_GROUPS if code in codes), None)
    if of_runtime is not None:
        return of_runtime
    return next((title for title, text in texts.items() if f'"{code}"' in text), GROUPS[-1][0])


def _source_text(place: Path) -> str:
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    return "".join(file.read_text(encoding="utf-8") for file in files)


def _group(named: tuple[str, list[Explanation]]) -> Lines:
    title, members = named
    if members:
        yield f"## {title}"
        yield ""
        yield from table(("code", "meaning"), (_code_row(member) for member in members))


def _code_row(explanation: Explanation) -> tuple[str, str]:
    code, text = explanation.code, explanation.title
    if (ROOT / "flowc" / "codes" / f"{code}.md").is_file():
        return f"[`{code}`](../../flowc/codes/{code}.md)", text
    return f"`{code}`", " ".join(explanation.text.split())


def _exit_codes() -> Lines:
    yield "## Exit codes"
    yield ""
    source = Path(exits.__file__).read_text(encoding="utf-8")
    found = re.findall(r"^(\w+) = (\d+)(?:  # (.*))?$", source, re.MULTILINE)
    rows = [(number, name.lower().replace("_", " "), doc) for name, number, doc in found]
    yield from table(("code", "name", "meaning"), rows)


# --- commands ---------------------------------------------------------------------------------


def commands() -> str:
    context = click.Context(command_line, info_name="flowc")
    intro = [
        f"{command_line.help}",
        "",
        "Results go to stdout; progress and messages go to stderr. `-h` shows the help of a",
        "command. How a command ends is told by its [exit code](errors.md#exit-codes). Every option",
        "can be given in the environment too: `FLOWC_TRAIN_THREADS=2` is `flowc train --threads 2`.",
        "",
        *_options(command_line, context),
    ]
    return page("Commands", intro, *_all_commands(command_line, context))


def _all_commands(group: click.Group, context: click.Context) -> Iterator[Lines]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        yield _command(command, inner)
        if isinstance(command, click.Group):
            yield from _all_commands(command, inner)


def _command(command: click.Command, context: click.Context) -> Lines:
    depth = "##" if context.parent is not None and context.parent.parent is None else "###"
    yield f"{depth} {context.command_path}"
    yield ""
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"`{context.command_path} {pieces}`"
    yield ""
    for paragraph in (command.help or "").split("\n\n"):
        yield " ".join(paragraph.split())
        yield ""
    examples = getattr(command, "examples", ())
    if examples:
        yield "```sh"
        width = max(len(typed) for typed, _ in examples)
        yield from (f"{typed:{width}}  # {what}" for typed, what in examples)
        yield "```"
        yield ""
    yield from _options(command, context)


def _options(command: click.Command, context: click.Context) -> Lines:
    records = [o.get_help_record(context) for o in command.params if isinstance(o, click.Option)]
    rows = [(f"`{names}`", _help(text)) for names, text in filter(None, records)]
    yield from table(("option", "what"), rows) if rows else ()


def _help(text: str) -> str:
    return re.sub(r"  *\[(.*)\]$", r" (\1)", " ".join(text.split()))


# --- the pages --------------------------------------------------------------------------------

PAGES: Mapping[str, Callable[[], str]] = {
    "ops.md": ops,
    "functions.md": functions,
    "library.md": library,
    "settings.md": settings,
    "data.md": data,
    "errors.md": errors,
    "commands.md": commands,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    check = parser.parse_args().check
    stale = []
    for name, make in PAGES.items():
        path, text = FOLDER / name, make().rstrip() + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{'stale' if check else 'written'}: docs/reference/{name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
