"""The Tree: what the text says, with nothing resolved. Every node carries its span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from flowc.source import Source, Span

# --- expressions ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    span: Span
    value: int | float


@dataclass(frozen=True, slots=True)
class String:
    span: Span
    value: str


@dataclass(frozen=True, slots=True)
class Bool:
    span: Span
    value: bool


@dataclass(frozen=True, slots=True)
class Name:
    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class TupleExpr:
    """`a, b` on the right of a binding, in `return`/`yield`, or `(a, b)` in parentheses."""

    span: Span
    items: tuple[Expr, ...]
    parenthesised: bool = False


@dataclass(frozen=True, slots=True)
class ListExpr:
    span: Span
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`, `not x`."""

    span: Span
    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary:
    """`a OP b`; OP is one of or and == != < <= > >= + - * / // % @ ^ .. except."""

    span: Span
    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Pipe:
    """`left |> right`: `right` is a call, which gets `left` as its first argument, or a name."""

    span: Span
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Argument:
    span: Span
    name: Name | None
    value: Expr


@dataclass(frozen=True, slots=True)
class Call:
    span: Span
    function: Expr
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """`embed.table`, `train.epochs`."""

    span: Span
    value: Expr
    name: Name


@dataclass(frozen=True, slots=True)
class Slice:
    """`start:stop:step` inside an index; each may be missing."""

    span: Span
    start: Expr | None
    stop: Expr | None
    step: Expr | None


@dataclass(frozen=True, slots=True)
class Index:
    """`x[:, 0]`."""

    span: Span
    value: Expr
    items: tuple[Expr | Slice, ...]


@dataclass(frozen=True, slots=True)
class Carry:
    span: Span
    name: Name
    initial: Expr


@dataclass(frozen=True, slots=True)
class Scan:
    """`scan x over time [reversed] as xt carry (h = e, ...) { ... yield h }`.

    Several sequences: `scan (x, mask) over time as (xt, mt) ...`.
    """

    span: Span
    sequences: tuple[Expr, ...]
    over: Name
    reverse: bool
    items: tuple[Name, ...]
    carries: tuple[Carry, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands where an expression could not be parsed; nobody complains about it twice."""

    span: Span


Expr: TypeAlias = (
    "Number | String | Bool | Name | TupleExpr | ListExpr | Unary | Binary | Pipe"
    " | Call | Attribute | Index | Scan | Missing"
)

# --- types ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ellipsis_:
    """`...` in a shape: any number of leading dimensions."""

    span: Span


@dataclass(frozen=True, slots=True)
class NamedDim:
    """`time = 64` in a shape: names the dimension and fixes its size."""

    span: Span
    name: Name
    size: Expr


@dataclass(frozen=True, slots=True)
class TensorTypeExpr:
    """`f32[batch, time = 64, 3 * d]`; a bare `f32` has `dims == ()` and is a scalar tensor."""

    span: Span
    dtype: Name
    dims: tuple[Expr | NamedDim | Ellipsis_, ...]


# --- statements -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Input:
    span: Span
    name: Name
    type: TensorTypeExpr


@dataclass(frozen=True, slots=True)
class Param:
    span: Span
    name: Name
    type: TensorTypeExpr
    initial: Expr | None


@dataclass(frozen=True, slots=True)
class State:
    """`state m: f32[c] = zeros`; in an optimizer the type may be left out."""

    span: Span
    name: Name
    type: TensorTypeExpr | None
    initial: Expr | None


@dataclass(frozen=True, slots=True)
class Next:
    span: Span
    name: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Layer:
    span: Span
    name: Name
    value: Expr  # a call without its tensor argument, or a block's name


@dataclass(frozen=True, slots=True)
class Output:
    span: Span
    name: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Loss:
    span: Span
    value: Expr


@dataclass(frozen=True, slots=True)
class Metric:
    span: Span
    name: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Assert:
    span: Span
    condition: Expr
    message: String | None


@dataclass(frozen=True, slots=True)
class Return:
    span: Span
    value: Expr


@dataclass(frozen=True, slots=True)
class Yield:
    span: Span
    value: Expr


@dataclass(frozen=True, slots=True)
class Bind:
    """`a = e`, `q, k, v = e`."""

    span: Span
    targets: tuple[Name, ...]
    value: Expr


@dataclass(frozen=True, slots=True)
class LocalFunction:
    """`split_heads(t) = ...`: inlined where it is called."""

    span: Span
    name: Name
    parameters: tuple[Name, ...]
    value: Expr


@dataclass(frozen=True, slots=True)
class Repeat:
    span: Span
    count: Expr
    index: Name | None
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class If:
    """`else if` is an `If` as the only statement of `orelse`."""

    span: Span
    condition: Expr
    then: tuple[Statement, ...]
    orelse: tuple[Statement, ...]


Statement: TypeAlias = (
    "Input | Param | State | Next | Layer | Output | Loss | Metric | Assert | Return"
    " | Yield | Bind | LocalFunction | Repeat | If"
)

# --- items of a file --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a block, optimizer or schedule.

    `type` is a tensor type, the name of a compile-time type (`int`, `float`, `bool`, `str`,
    `schedule`, `function`), or None where any value is taken.
    """

    span: Span
    name: Name
    type: TensorTypeExpr | Name | None
    default: Expr | None


@dataclass(frozen=True, slots=True)
class Version:
    span: Span
    number: int


@dataclass(frozen=True, slots=True)
class Hyper:
    """`hyper hidden: int = 128 in 16..4096` (a Binary `..`) or `in ["a", "b"]` (a ListExpr)."""

    span: Span
    name: Name
    type: Name
    default: Expr
    choices: Expr | None


@dataclass(frozen=True, slots=True)
class ImportedName:
    span: Span
    name: Name
    alias: Name | None


@dataclass(frozen=True, slots=True)
class Import:
    """`import "vision.flow" (a, b as c)` (`library` False) or `import std.vision (a)` (True)."""

    span: Span
    origin: Span
    module: str
    library: bool
    names: tuple[ImportedName, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """`results` are the declared result types; empty where none is written."""

    span: Span
    name: Name
    parameters: tuple[Parameter, ...]
    results: tuple[TensorTypeExpr, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Optimizer:
    span: Span
    name: Name
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    span: Span
    name: Name
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Model:
    span: Span
    name: Name
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Data:
    """`data train = idx(...) |> shuffle -> (image, label)`."""

    span: Span
    name: Name
    source: Expr
    fields: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """`epochs = 5` inside `train`."""

    span: Span
    key: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Train:
    span: Span
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path pattern of `place`: `embed.table`, `mixed_0..mixed_4`, `mixed_5..`, `head.**`."""

    span: Span
    first: str
    last: str | None  # None: a single pattern; "": an open range


@dataclass(frozen=True, slots=True)
class Replicate:
    """`replicate over worker`."""

    span: Span
    over: Name


@dataclass(frozen=True, slots=True)
class Spread:
    """`variables over ps by bytes`."""

    span: Span
    over: Name
    by: Name | None


@dataclass(frozen=True, slots=True)
class Shard:
    """`shard embed.table axis 0 over ps`."""

    span: Span
    pattern: Pattern
    axis: Number
    over: Name


@dataclass(frozen=True, slots=True)
class Stage:
    """`stage on gpu:0 { stem, mixed_0..mixed_4 }`; `device` is the text `gpu:0`."""

    span: Span
    device: String
    patterns: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`pipeline microbatches = 8`."""

    span: Span
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Sync:
    """`sync = backup(1)`: a name or a call of one."""

    span: Span
    value: Expr


PlaceStatement: TypeAlias = "Replicate | Spread | Shard | Stage | Pipeline | Sync"


@dataclass(frozen=True, slots=True)
class Place:
    span: Span
    statements: tuple[PlaceStatement, ...]


Item: TypeAlias = (
    "Version | Hyper | Import | Block | Optimizer | Schedule | Model | Data | Train"
    " | Place"
)


@dataclass(frozen=True, slots=True)
class Comment:
    """`# ...`, without the newline."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole file. Comments are kept aside, in order, for the formatter.

    `lost` are the names in statements that were dropped for a mistake in their text: that one of
    them is not bound is no mistake of its own.
    """

    source: Source
    items: tuple[Item, ...]
    comments: tuple[Comment, ...]
    lost: frozenset[str] = frozenset()

    def source_span(self) -> Span:
        """The first character: where to point when something is missing from the whole file."""
        return Span(self.source, 0, min(1, len(self.source.text)))
