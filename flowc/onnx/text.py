"""Expressions of the language as values, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from flowc_runtime.dims import Poly

BINDING = {
    "or": 1, "and": 2, "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4, "+": 5, "-": 5,
    "*": 6, "/": 6, "//": 6, "%": 6, "@": 6, "^": 8,
}  # fmt: skip
NOT, NEGATIVE, ATOM = 3, 7, 9


@dataclass(frozen=True)
class Name:
    """A name that the text has bound."""

    text: str


@dataclass(frozen=True)
class Call:
    """`function(args, named)`, written as a pipe where its first argument is a call itself."""

    function: str
    args: tuple[Any, ...]
    named: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Infix:
    op: str
    left: Any
    right: Any


@dataclass(frozen=True)
class Prefix:
    """`-x` or `not x`."""

    op: str
    value: Any


@dataclass(frozen=True)
class Index:
    """`x[items]`, the items already written."""

    value: Any
    items: str


@dataclass(frozen=True)
class Word:
    """A word of the language, such as a dtype, as an argument."""

    text: str


Expr: TypeAlias = "Name | Call | Infix | Prefix | Index"


def call(function: str, *args: Any, **named: Any) -> Call:
    """A call; arguments are expressions, numbers, truth values, texts, lists, or Words."""
    return Call(function, args, named)


def write(value: Any) -> str:
    """The text of an expression or of a setting."""
    return _written(value)[0]


def write_piped(value: Any) -> str:
    """The same at the top of a statement, where calls of calls become a pipe."""
    chain: list[str] = []
    while isinstance(value, Call) and value.args and is_expr(value.args[0]):
        rest = replace(value, args=value.args[1:])
        chain.append(_call(rest) if rest.args or rest.named else rest.function)
        value = value.args[0]
    if len(chain) < 2 and not (chain and chain[0].endswith(")")):
        return write(Call(chain[0], (value,))) if chain else write(value)
    head, binding = _written(value)
    return " |> ".join([head if binding > 0 else f"({head})", *reversed(chain)])


def names_of(value: Any) -> Iterator[str]:
    """The names that an expression mentions, each as often as it does."""
    match value:
        case Name(text):
            yield text
        case Call(args=args, named=named):
            for part in (*args, *named.values()):
                yield from names_of(part)
        case Infix(left=left, right=right):
            yield from names_of(left)
            yield from names_of(right)
        case Prefix(value=inner) | Index(value=inner):
            yield from names_of(inner)
        case list() | tuple():
            for item in value:
                yield from names_of(item)


def renamed(value: Any, to: Mapping[str, Any]) -> Any:
    """The expression with names replaced: by other names, or by whole expressions."""
    match value:
        case Name(text):
            return to.get(text, value)
        case Call():
            named = {k: renamed(v, to) for k, v in value.named.items()}
            return Call(value.function, tuple(renamed(a, to) for a in value.args), named)
        case Infix():
            return Infix(value.op, renamed(value.left, to), renamed(value.right, to))
        case Prefix():
            return Prefix(value.op, renamed(value.value, to))
        case Index():
            return Index(renamed(value.value, to), value.items)
        case list():
            return [renamed(item, to) for item in value]
    return value


def number(value: Any) -> str:
    """A number as the shortest text that reads back as the same f32 (or whole number)."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, Poly):
        return str(value)
    kind = np.float64 if isinstance(value, np.float64) else np.float32
    text = np.format_float_positional(kind(value), unique=True, trim="0")
    return text if len(text) < 16 else np.format_float_scientific(
        kind(value), unique=True, trim="0", exp_digits=1)


def is_expr(value: Any) -> bool:
    """Whether this is made of names, and no number or word."""
    return isinstance(value, (Name, Call, Infix, Prefix, Index))


def _written(value: Any) -> tuple[str, int]:
    """The text, and how tightly its outermost sign binds."""
    match value:
        case Name(text) | Word(text):
            return text, ATOM
        case Call():
            return _call(value), ATOM
        case Index(inner, items):
            return f"{_inside(inner, ATOM)}[{items}]", ATOM
        case Prefix(op, inner):
            binding = NOT if op == "not" else NEGATIVE
            return f"{op}{' ' if op == 'not' else ''}{_inside(inner, binding + 1)}", binding
        case Infix(op, left, right):
            binding = BINDING[op]
            # comparisons do not chain; all other signs lean left, but for the power
            left_text = _inside(left, binding + (binding == 4 or op == "^"))
            return f"{left_text} {op} {_inside(right, binding + 1)}", binding
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"', ATOM
        case list() | tuple():
            return f"[{', '.join(write(item) for item in value)}]", ATOM
        case Poly():
            return str(value), BINDING["+"]
    text = number(value)
    return text, NEGATIVE if text.startswith("-") else ATOM


def _inside(value: Any, binding: int) -> str:
    text, own = _written(value)
    return text if own >= binding else f"({text})"


def _call(expr: Call) -> str:
    parts = [write(arg) for arg in expr.args]
    parts += [f"{name} = {write(value)}" for name, value in expr.named.items()]
    return f"{expr.function}({', '.join(parts)})"
