"""What the codes of messages mean, at length: one file a code in `codes/`.

A file's first line is `# CODE: TITLE`; the text follows, in Markdown. Two kinds of code blocks in
it are more than text: ```` ```flow failing ```` holds a whole model that gets this very message,
```` ```flow fixed ```` the same model put right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

_HEAD = re.compile(r"# (?P<code>[a-z0-9-]+): (?P<title>\S.*)")
_BLOCK = re.compile(r"^```flow (?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_SENTENCE = re.compile(r"[:.](?: |$)")


class BadExplanation(ValueError):
    """A file in `codes/` does not have the form that is described above."""


@dataclass(frozen=True)
class Explanation:
    """`text` is Markdown without the title; the examples are `.flow` texts, or empty."""

    code: str
    title: str
    text: str
    failing: str = ""
    fixed: str = ""


def explanations() -> dict[str, Explanation]:
    """All codes, of the compiler and of the runtime, in the order of the alphabet."""
    found = {code: _of_runtime(code, doc) for code, doc in _runtime_codes().items()}
    for entry in files("flowc").joinpath("codes").iterdir():
        if entry.name.endswith(".md"):
            explanation = parse_explanation(entry.read_text(encoding="utf-8"))
            if entry.name != f"{explanation.code}.md":
                raise BadExplanation(f"{entry.name} is about `{explanation.code}`")
            found[explanation.code] = explanation
    return dict(sorted(found.items()))


def parse_explanation(markdown: str) -> Explanation:
    """The explanation in a file's text; raises BadExplanation."""
    first, _, rest = markdown.partition("\n")
    head = _HEAD.fullmatch(first.rstrip())
    if head is None:
        raise BadExplanation(f"the first line must be `# code: title`, but is `{first}`")
    examples: dict[str, str] = {}
    for block in _BLOCK.finditer(rest):
        kind = block["kind"]
        if kind not in ("failing", "fixed") or kind in examples:
            raise BadExplanation(f"{head['code']}: there is one `failing` and one `fixed` example")
        examples[kind] = block["text"]
    return Explanation(head["code"], head["title"].rstrip(), rest.strip(), **examples)


def _of_runtime(code: str, doc: str) -> Explanation:
    """The runtime documents its codes itself; the first sentence serves as the title."""
    end = _SENTENCE.search(doc)
    return Explanation(code, doc[: end.start()] if end else doc, doc)


def _runtime_codes() -> Mapping[str, str]:
    from flowc.costs.errors import CODES as costs
    from flowc.onnx.errors import CODES as onnx
    from flowc_runtime.backend import CODES as backend
    from flowc_runtime.checkpoint.errors import CODES as checkpoint
    from flowc_runtime.cluster.errors import CODES as cluster
    from flowc_runtime.cluster.work.errors import CODES as work
    from flowc_runtime.data.errors import CODES as data
    from flowc_runtime.runfolder.errors import CODES as run
    from flowc_runtime.training.errors import CODES as training

    return {
        **data, **checkpoint, **run, **training, **backend, **cluster, **work, **costs, **onnx}
