"""`flowc explain`: more about the code of a message."""

from __future__ import annotations

import re
import textwrap

import click

from flowc.cli.command import command
from flowc.cli.options import json_option

WIDTH = 88


@command(
    "explain",
    ("flowc explain shape-mismatch", "what it means, with an example"),
    ("flowc explain", "all codes"),
)
@click.argument("code", required=False)
@json_option
def explain(code: str | None, as_json: bool) -> None:
    """Tell more about the code of a message.

    CODE stands in brackets behind `error` or `warning`.
    """
    from flowc.explain import explanations

    known = explanations()
    if code is not None and code not in known:
        raise click.BadParameter(_unknown(code, list(known)), param_hint="CODE")
    chosen = list(known.values()) if code is None else [known[code]]
    if as_json:
        from dataclasses import asdict

        from flowc.cli.printing import print_json

        print_json("explain", {"codes": [asdict(explanation) for explanation in chosen]})
    elif code is None:
        width = max(map(len, known))
        click.echo("\n".join(f"{e.code:{width}}  {e.title}" for e in chosen))
    else:
        title, text = known[code].title, known[code].text
        head = code if text.startswith(title) else f"{code}: {title}"
        click.echo(f"{head}\n\n{plain(text)}")


def _unknown(code: str, known: list[str]) -> str:
    from flowc.diagnostic import nearest

    near = nearest(code, known)
    hint = f"; did you mean `{near}`?" if near else "; `flowc explain` lists them"
    return f"there is no code `{code}`{hint}"


def plain(markdown: str) -> str:
    """Markdown for a terminal: paragraphs filled, code blocks indented, titles as they are."""
    parts = re.split(r"^```(\w*) *(\w*)\n(.*?)^```$", markdown, flags=re.MULTILINE | re.DOTALL)
    shown = [_prose(parts[0])]
    for language, kind, code, prose in zip(
        parts[1::4], parts[2::4], parts[3::4], parts[4::4], strict=True
    ):
        title = f"{kind.capitalize()}:\n" if language == "flow" and kind else ""
        shown += [title + textwrap.indent(code.rstrip(), "    "), _prose(prose)]
    return "\n\n".join(part for part in shown if part)


def _prose(text: str) -> str:
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(map(_paragraph, paragraphs)) if text.strip() else ""


def _paragraph(text: str) -> str:
    if text.startswith("#"):
        return text.lstrip("# ")
    if re.match(r"[-*|\d]", text):
        return text  # lists and tables keep their lines
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
