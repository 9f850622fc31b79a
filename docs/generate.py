"""Writes the pages of docs/reference that say what is in the code; `--check` only compares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

from pages.cluster_file import cluster_file
from pages.commands import commands
from pages.errors import errors
from pages.library import functions, library
from pages.limits import limits
from pages.markdown import ROOT
from pages.models import models
from pages.ops import ops
from pages.settings import data, settings

FOLDER = ROOT / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "ops.md": ops,
    "functions.md": functions,
    "library.md": library,
    "settings.md": settings,
    "data.md": data,
    "cluster-file.md": cluster_file,
    "errors.md": errors,
    "commands.md": commands,
    "limits.md": limits,
    "models.md": models,
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
