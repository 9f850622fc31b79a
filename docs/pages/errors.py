"""The page of the messages' codes, by where they come from, and of the exit codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from flowc.cli import exits
from flowc.explain import Explanation, explanations
from flowc_runtime.backend import CODES as backend_codes
from flowc_runtime.checkpoint.errors import CODES as checkpoint_codes
from flowc_runtime.cluster.errors import CODES as cluster_codes
from flowc_runtime.cluster.work.errors import CODES as work_codes
from flowc_runtime.data.errors import CODES as data_codes
from flowc_runtime.runfolder.errors import CODES as run_codes
from flowc_runtime.training.errors import CODES as training_codes
from pages.markdown import ROOT, Lines, page, table

# The runtime's codes are in its rooms' own tables; where another one is used decides its group.
RUNTIME_GROUPS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("Data at run time", data_codes),
    ("Training", {**training_codes, **backend_codes}),
    ("Checkpoints", checkpoint_codes),
    ("Run folders", run_codes),
    ("Tasks of a cluster", {**cluster_codes, **work_codes}),
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
    ("Cluster files", "flowc/cluster"),
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
