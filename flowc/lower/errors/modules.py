"""Files: versions and imports."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flowc.diagnostic import Diagnostic, Label, nearest
from flowc.lower.errors.names import suggest
from flowc.syntax import tree as t


def not_in_module(
    name: t.Name, module: str, known: Iterable[str], home: str | None
) -> Diagnostic:
    """`home` is the file of the library that does define the name."""
    help_, fix = suggest(name.text, known, name.span)
    if home is not None:
        help_, fix = f"std.{home} defines it; the everyday names need no import", None
    return Diagnostic(
        "unknown-import", f"`{module}` defines no `{name.text}`", Label(name.span),
        help=help_, fix=fix,
    )


def no_library_module(item: t.Import, known: list[str]) -> Diagnostic:
    near = nearest(item.module, known)
    return Diagnostic(
        "import-missing", f"the standard library has no `{item.module}`", Label(item.origin),
        notes=(f"it has {', '.join(known)}",), help=f"did you mean `{near}`?" if near else None,
    )


def import_missing(item: t.Import, path: Path) -> Diagnostic:
    near = nearest(path.name, [p.name for p in path.parent.glob("*.flow")])
    return Diagnostic(
        "import-missing", f"there is no file `{item.module}`", Label(item.origin),
        notes=("paths are relative to the file that imports",),
        help=f"`{near}` exists; did you mean that?" if near else None,
    )


def import_outside(item: t.Import, root: Path) -> Diagnostic:
    return Diagnostic(
        "import-outside", f"`{item.module}` lies outside the project's folder",
        Label(item.origin), help="copy the file into the project",
    )


def import_without_folder(item: t.Import) -> Diagnostic:
    return Diagnostic(
        "import-missing", "a text that is not a file cannot import files", Label(item.origin),
        help="save it in a folder first",
    )


def import_cycle(item: t.Import) -> Diagnostic:
    return Diagnostic(
        "import-cycle", f"`{item.module}` imports this file again", Label(item.origin),
        help="move what both need into a third file",
    )
