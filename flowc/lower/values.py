"""What a name can stand for while lowering: numbers, tensors, functions, and POISON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowc.graph.builder import Value
from flowc.source import Span
from flowc.syntax import tree as t
from flowc_runtime.dims import Dim, Poly
from flowc_runtime.types import DTYPES, TensorType

if TYPE_CHECKING:
    from flowc.lower.scope import Scope


class Poison:
    """The value of an expression that was complained about; nobody complains twice."""

    def __repr__(self) -> str:
        return "POISON"


POISON = Poison()


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value of the graph. `level` counts the scan bodies that it lies inside."""

    value: Value
    level: int = 0

    @property
    def type(self) -> TensorType:
        return self.value.type


@dataclass(frozen=True, slots=True)
class Arg:
    """An argument of a call: its value, and where it is written."""

    value: Any
    span: Span


@dataclass(frozen=True, slots=True)
class BuiltinParameter:
    """A parameter of a built-in function; REQUIRED where it has no default."""

    name: str
    default: Any
    doc: str = ""


REQUIRED = object()
Run = Callable[..., Any]  # (lowerer, span of the call, *arguments in order) -> value


@dataclass(frozen=True, slots=True)
class Builtin:
    """A function of the language that the compiler provides; `variadic` takes any number more."""

    name: str
    parameters: tuple[BuiltinParameter, ...]
    run: Run
    doc: str
    variadic: bool = False


@dataclass(frozen=True, slots=True)
class BlockFunction:
    """A `block`, with the scope of the file that defines it."""

    definition: t.Block
    scope: Scope


@dataclass(frozen=True, slots=True)
class Initialiser:
    """`normal(std = 0.02)`: a block that waits for the shape that it is to fill."""

    block: BlockFunction
    positional: tuple[Arg, ...]
    named: Mapping[str, Arg] = field(hash=False)


@dataclass(frozen=True, slots=True)
class LocalFunction:
    """`f(t) = e`, with the scope it was defined in."""

    definition: t.LocalFunction
    scope: Scope


@dataclass(frozen=True, slots=True)
class LayerInstance:
    """`layer embed = embedding(...)`: a block with settings and one set of parameters."""

    block: BlockFunction
    positional: tuple[Arg, ...]
    named: Mapping[str, Arg]
    path: str
    span: Span


@dataclass(frozen=True, slots=True)
class OptimizerFunction:
    definition: t.Optimizer
    scope: Scope


@dataclass(frozen=True, slots=True)
class ScheduleFunction:
    definition: t.Schedule
    scope: Scope


@dataclass(frozen=True, slots=True)
class Configured:
    """An optimizer or schedule with its arguments, to be run once for each step."""

    function: OptimizerFunction | ScheduleFunction
    arguments: Mapping[str, Arg] = field(hash=False)
    span: Span


@dataclass(frozen=True, slots=True)
class DataSource:
    """What a `data` item reads: a source with arguments, then transforms, in order."""

    source: str
    arguments: Mapping[str, Any]
    transforms: tuple[tuple[str, Mapping[str, Any]], ...]
    span: Span


def is_dtype(value: Any) -> bool:
    return isinstance(value, str) and value in DTYPES


def is_dim(value: Any) -> bool:
    return isinstance(value, (int, Poly)) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return is_dim(value) or isinstance(value, float)


def describe(value: Any) -> str:
    """What a value is, in the words of a message."""
    match value:
        case Tensor():
            return f"a tensor {value.type}"
        case bool():
            return f"the truth value `{str(value).lower()}`"
        case int() | float():
            return f"the number {value}"
        case Poly():
            text = str(value)
            return f"the dimension `{text if len(text) < 40 else text[:39] + '…'}`"
        case str():
            return f'the text "{value}"' if len(value) < 40 else f'the text "{value[:39]}…"'
        case list():
            return f"a list of {len(value)}" if value else "an empty list"
        case tuple():
            return f"{len(value)} values"
        case BlockFunction():
            return f"the block `{value.definition.name.text}`"
        case Builtin():
            return f"the function `{value.name}`"
        case LocalFunction():
            return f"the function `{value.definition.name.text}`"
        case LayerInstance():
            return f"a layer of `{value.block.definition.name.text}`"
        case Initialiser():
            return f"the initialiser `{value.block.definition.name.text}`"
        case OptimizerFunction():
            return f"the optimizer `{value.definition.name.text}`"
        case ScheduleFunction():
            return f"the schedule `{value.definition.name.text}`"
        case Configured():
            return describe(value.function)
        case DataSource():
            return f"the data source `{value.source}`"
    return type(value).__name__


def dims_of(value: Any) -> tuple[Dim, ...] | None:
    """The shape that a list of dimensions means; None where it is no such list."""
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    return tuple(items) if all(is_dim(item) for item in items) else None
