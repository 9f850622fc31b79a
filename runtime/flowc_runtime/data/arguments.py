"""Calls in the data section: what parameters there are, and binding arguments to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowc_runtime.data.errors import DataError, did_you_mean

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """What values a parameter takes; `name` reads after "needs"."""

    name: str
    accepts: Callable[[Any], bool]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a source or transform. A variadic one takes all positional arguments."""

    name: str
    kind: Kind
    doc: str
    default: Any = None
    required: bool = False
    variadic: bool = False


class BadArgument(Exception):
    """A call that cannot be bound. `argument` is the position or the name to blame, or None."""

    def __init__(self, message: str, argument: int | str | None = None, help: str | None = None):
        super().__init__(message)
        self.message = message
        self.argument = argument
        self.help = help


def bind(
    parameters: Sequence[Parameter], positional: Sequence[Any], named: Arguments
) -> dict[str, Any]:
    """A value for every parameter, by name; raises BadArgument.

    Values are plain: int, float, bool, str, a list `[a, b]` as a list, and a range `a..b` as
    the tuple (a, b) with both ends inside. A variadic parameter's value is a tuple.
    """
    bound: dict[str, Any] = {}
    for position, value in enumerate(positional):
        _bind_position(parameters, position, value, bound)
    for name, value in named.items():
        _bind_name(parameters, name, value, bound)
    for parameter in parameters:
        if parameter.name not in bound:
            if parameter.required:
                raise BadArgument(f"needs {parameter.kind.name} as `{parameter.name}`")
            bound[parameter.name] = parameter.default
    return bound


def rebind(name: str, parameters: Sequence[Parameter], arguments: Arguments) -> dict[str, Any]:
    """`bind` for arguments that are all given by name; `data-argument` names the call."""
    variadic = next((p.name for p in parameters if p.variadic), "")
    named = {key: value for key, value in arguments.items() if key != variadic}
    try:
        return bind(parameters, arguments.get(variadic, ()), named)
    except BadArgument as error:
        message = f"`{name}` {error.message}"
        raise DataError("data-argument", message, help=error.help) from error


def _bind_position(
    parameters: Sequence[Parameter], position: int, value: Any, bound: dict[str, Any]
) -> None:
    if parameters and parameters[0].variadic:
        first = parameters[0]
        _check(first, value, position)
        bound[first.name] = (*bound.get(first.name, ()), value)
        return
    if position >= len(parameters):
        raise BadArgument(f"takes at most {len(parameters)} arguments", position)
    _check(parameters[position], value, position)
    bound[parameters[position].name] = value


def _bind_name(
    parameters: Sequence[Parameter], name: str, value: Any, bound: dict[str, Any]
) -> None:
    known = {p.name: p for p in parameters if not p.variadic}
    if name not in known:
        names = ", ".join(f"`{known_name}`" for known_name in known)
        fallback = f"it has {names}" if names else None
        raise BadArgument(f"has no parameter `{name}`", name, _near(name, list(known)) or fallback)
    if name in bound:
        raise BadArgument(f"gets `{name}` twice", name)
    _check(known[name], value, name)
    bound[name] = value


def _near(name: str, known: list[str]) -> str | None:
    near = did_you_mean(name, known)
    return near and near.replace(" exists;", ":")


def _check(parameter: Parameter, value: Any, argument: int | str) -> None:
    optional = parameter.default is None and not parameter.required
    if parameter.kind.accepts(value) or (value is None and optional):
        return
    shown = f"`{value}`" if isinstance(value, int | float | str) else "another value"
    message = f"needs {parameter.kind.name} as `{parameter.name}`, not {shown}"
    raise BadArgument(message, argument)
