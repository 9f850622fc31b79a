"""What is said about texts that are no `.flow` texts. (Unexpected words: expected.py.)"""

from __future__ import annotations

from flowc.diagnostic import Diagnostic, Fix, Label
from flowc.source import Source, Span

SPLIT_HELP = "move blocks into files of their own and `import` them"


class Mistake(Exception):
    """Raised while a statement is built: the statement is dropped, and parsing goes on."""

    def __init__(self, diagnostic: Diagnostic):
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def shown(text: str, most: int = 30) -> str:
    """A piece of the author's text, short enough for a message."""
    line = text.split("\n", 1)[0]
    return f"`{line}`" if len(line) <= most else f"`{line[: most - 1]}…`"


# --- limits -----------------------------------------------------------------------------------


def too_long(source: Source, limit: int) -> Diagnostic:
    message = f"this text is longer than {limit:,} characters"
    return Diagnostic("too-large", message, Label(Span(source, 0, 0)), help=SPLIT_HELP)


def too_many_tokens(at: Span, limit: int) -> Diagnostic:
    message = f"the file has more than {limit:,} words, marks and lines"
    return Diagnostic("too-large", message, Label(at, "reading stopped here"), help=SPLIT_HELP)


def too_deep(at: Span, limit: int) -> Diagnostic:
    help = "give names to inner parts: `part = ...`"
    return Diagnostic("too-deep", f"nested more than {limit} deep here", Label(at), help=help)


def newer_language(at: Span, newest: int) -> Diagnostic:
    return Diagnostic(
        "unknown-version",
        f"this text is written in version {shown(at.text)} of the language",
        Label(at, f"this flowc reads version {newest}"),
        help="install a newer flowc",
    )


def not_text(at: Span, byte: int, offset: int) -> Diagnostic:
    what = f"byte {byte:#04x}" if byte else "a zero byte"
    message = f"this is no UTF-8 text: {what} at offset {offset}"
    return Diagnostic("not-utf8", message, Label(at), help="save the file as UTF-8")


# --- characters, numbers, texts ---------------------------------------------------------------


def bad_character(at: Span, help: str | None) -> Diagnostic:
    first = at.text[0]
    name = f"`{first}`" if first.isprintable() else f"the character U+{ord(first):04X}"
    return Diagnostic("bad-character", f"{name} has no meaning here", Label(at), help=help)


def odd_blank(at: Span) -> Diagnostic:
    message = f"this blank is no plain space but U+{ord(at.text[0]):04X}"
    fix = Fix(at, " " * len(at.text))
    return Diagnostic("bad-character", message, Label(at), help="use plain spaces", fix=fix)


def bad_name(at: Span) -> Diagnostic:
    message = f"the name {shown(at.text)} has letters other than a-z, A-Z, 0-9 and _"
    help = "names become paths in checkpoints; spell it out, as `beta` for β"
    return Diagnostic("bad-character", message, Label(at), help=help)


def bad_number(at: Span) -> Diagnostic:
    message = f"{shown(at.text)} is no number"
    help = "numbers look like 128, 1_000, 0.9 or 1e-3; a name cannot start with a digit"
    return Diagnostic("bad-number", message, Label(at), help=help)


def number_too_big(at: Span) -> Diagnostic:
    return Diagnostic("bad-number", f"{shown(at.text)} is too large for a number", Label(at))


def unended_string(at: Span) -> Diagnostic:
    help = 'close it with `"`; a line break inside is written `\\n`'
    return Diagnostic("bad-string", "this text does not end on its line", Label(at), help=help)


def single_quotes(at: Span) -> Diagnostic:
    plain = at.text.endswith("'") and len(at.text) > 1 and not set('"\\') & set(at.text)
    fix = Fix(at, f'"{at.text[1:-1]}"') if plain else None
    message = "texts stand in double quotes"
    return Diagnostic("bad-string", message, Label(at), help='write `"..."`', fix=fix)


def bad_escape(at: Span) -> Diagnostic:
    help = 'there are `\\n`, `\\t`, `\\"` and `\\\\`; a backslash itself is written `\\\\`'
    return Diagnostic("bad-string", f"{shown(at.text)} is no escape", Label(at), help=help)


# --- marks and words of other languages -------------------------------------------------------


def written_otherwise(at: Span, instead: str) -> Diagnostic:
    message = f"{shown(at.text)} is written `{instead.strip()}`"
    return Diagnostic("syntax", message, Label(at), fix=Fix(at, instead))


def semicolon(at: Span) -> Diagnostic:
    return Diagnostic(
        "syntax",
        "there is no `;`: a statement ends with its line",
        Label(at),
        help="give each statement a line of its own",
        fix=Fix(at, "\n") if _text_follows(at) else Fix(at, ""),
    )


def _text_follows(at: Span) -> bool:
    rest = at.source.text[at.end : at.end + 1000].split("\n", 1)[0]
    return bool(rest.strip()) and not rest.lstrip().startswith("#")


def no_operator(at: Span) -> Diagnostic:
    help = "`->` precedes result types, `>=` compares"
    if at.text != "=>":
        help = f"write `x = x {at.text[0]} ...`: a name may be bound again"
    return Diagnostic("syntax", f"there is no operator {shown(at.text)}", Label(at), help=help)


def foreign_word(at: Span, instead: str) -> Diagnostic:
    if instead:
        return written_otherwise(at, instead)
    help = "leave the argument or the setting out"
    return Diagnostic("syntax", f"there is no {shown(at.text)}", Label(at), help=help)


# --- brackets ---------------------------------------------------------------------------------


def unclosed(opened: Span, at: Span, others: tuple[Label, ...] = ()) -> Diagnostic:
    where = Label(at, "still open here") if at.text else Label(at, "the file ends here")
    message = f"this {shown(opened.text)} is never closed"
    return Diagnostic("unclosed", message, Label(opened), (where, *others))


def closes_nothing(at: Span) -> Diagnostic:
    return Diagnostic("syntax", f"this {shown(at.text)} closes nothing", Label(at))


def closes_another(at: Span, opened: Span, wanted: str) -> Diagnostic:
    message = f"expected `{wanted}` here, found {shown(at.text)}"
    return Diagnostic("syntax", message, Label(at), (Label(opened, "opened here"),))


# --- expressions and items --------------------------------------------------------------------


def chained(first: Span, second: Span, middle: Span) -> Diagnostic:
    between = shown(middle.text).strip("`")
    return Diagnostic(
        "chained-comparison",
        "comparisons do not chain",
        Label(second),
        (Label(first, "the first comparison"),),
        help=f"write `... {first.text} {between} and {between} {second.text} ...`",
    )


def pipe_into_value(pipe: Span, right: Span) -> Diagnostic:
    return Diagnostic(
        "syntax",
        "`|>` passes a value to a block, but this is none",
        Label(right),
        (Label(pipe, "passed on here"),),
        help="`|>` binds loosest: write `(x |> f) + 1`, not `x |> f + 1`",
    )


def missing_names(at: Span) -> Diagnostic:
    message = "this import does not say which names it takes"
    return Diagnostic("missing-names", message, Label(at), help=f"write `{at.text} (name)`")


def version_not_first(at: Span) -> Diagnostic:
    message = "the version of the language stands on the first line"
    return Diagnostic("syntax", message, Label(at))
