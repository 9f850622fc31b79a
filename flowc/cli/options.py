"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

MODEL_FILE = "model.flow"


class Define(click.ParamType):  # type: ignore[type-arg]  # (it takes one from click 8.2 on)
    """`name=value`, as `-D` takes it."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name.strip() or not text.strip():
            self.fail(f"`{value}` is not of the form name=value", param, ctx)
        return name.strip(), text.strip()


def _once_each(
    ctx: click.Context, param: click.Parameter, pairs: tuple[tuple[str, str], ...]
) -> dict[str, str]:
    defines = dict(pairs)
    if len(defines) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise click.BadParameter(f"`{twice}` is given twice", ctx, param)
    return defines


model_argument = click.argument(
    "model", type=click.Path(path_type=Path), default=MODEL_FILE, metavar="[MODEL]"
)
define_option = click.option(
    "-D", "defines", type=Define(), multiple=True, callback=_once_each,
    help="Set a hyperparameter, or a setting as train.epochs=1.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
