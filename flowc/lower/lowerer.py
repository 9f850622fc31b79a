"""The state of one lowering, and the way from each piece of the Tree to what lowers it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from flowc.diagnostic import MAX_REPORTED, Diagnostic, Label, Limit, Sink, Stop
from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Node, Origin, Ref
from flowc.lower import calls, errors, expressions, limits, scans, statements
from flowc.lower.elsewhere import Binders
from flowc.lower.limits import Budget
from flowc.lower.scope import Scope
from flowc.lower.values import POISON, Arg, Tensor
from flowc.source import Span, in_library
from flowc.syntax import tree as t
from flowc_runtime.dims import Dim
from flowc_runtime.ops.op import Reject
from flowc_runtime.types import TensorType


@dataclass(slots=True)
class Frame:
    """A block being lowered: the call that entered it, what it is called, what it was given."""

    call: Span
    block: str
    arguments: Mapping[str, Arg] = field(default_factory=dict)


@dataclass
class Level:
    """The graph under construction: the program itself, or the body of a scan inside it.

    `captures` are the outer values that the body uses, in the order of their first use.
    """

    builder: Builder
    length: Dim = 1
    captures: dict[tuple[int, Ref], Value] = field(default_factory=dict)
    captured: list[Tensor] = field(default_factory=list)
    round_index: Tensor | None = None
    uses_round: bool = False


@dataclass
class Variable:
    """A parameter, state or slot of the program, and where it is declared."""

    path: str
    kind: str
    tensor: Tensor
    span: Span


@dataclass
class Statement:
    """What the names of parameters are made from: the name being bound, and its outermost call."""

    target: str = ""
    direct: t.Expr | None = None


@dataclass
class Lowerer:
    """Lowers one program. `training` chooses the branch of `if training`.

    First values go into a second graph, that of the `init` program: `initial` is its level,
    `initials` its results by the path of the variable. `binders` knows the names of the file.
    """

    sink: Sink
    training: bool
    library: Scope
    binders: Binders | None = None
    lost: frozenset[str] = frozenset()  # names of statements that were dropped while parsing
    levels: list[Level] = field(default_factory=lambda: [Level(Builder())])
    frames: list[Frame] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    statement: Statement = field(default_factory=Statement)
    initial: Level = field(default_factory=lambda: Level(Builder()))
    initials: dict[str, Ref] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    nexts: dict[str, Arg] = field(default_factory=dict)
    results: dict[str, Arg] = field(default_factory=dict)  # loss, metric.*, output.*
    inputs: dict[str, Arg] = field(default_factory=dict)
    used: set[Span] = field(default_factory=set)  # bindings that somebody read
    bound: dict[Span, str] = field(default_factory=dict)  # bindings that somebody should read
    counters: dict[tuple[str, ...], int] = field(default_factory=dict)
    sharing: bool = False  # inside a layer instance: parameters may be met again
    budget: Budget = field(default_factory=Budget)
    systems: dict[tuple[bool, str], Tensor] = field(default_factory=dict)
    at: Span | None = None  # the latest expression or statement

    def continued(self, graph: Graph) -> Lowerer:
        """A lowering that goes on from a graph which began as this one's, with state of its own."""
        return replace(
            self,
            levels=[Level(Builder(list(graph.nodes)))],
            initial=Level(Builder(list(self.initial.builder.nodes))),
            initials=dict(self.initials),
            variables=dict(self.variables),
            counters=dict(self.counters),
            budget=Budget(),
            systems=dict(self.systems),
        )

    # --- the ways in ---------------------------------------------------------------------------

    def evaluate(self, expr: t.Expr, scope: Scope) -> Any:
        self._descend(expr.span)
        try:
            return expressions.evaluate(self, expr, scope)
        finally:
            self.budget.depth -= 1

    def execute(self, body: Sequence[t.Statement], scope: Scope) -> Arg | None:
        complaints = self.budget.complaints
        for statement in body:
            self._descend(statement.span)
            try:
                returned = statements.execute_one(self, statement, scope)
            finally:
                self.budget.depth -= 1
            if returned is not None:
                return returned
            if self.budget.complaints > complaints and in_library(statement.span):
                return Arg(POISON, statement.span)  # the author has heard what is wrong
        return None

    def call(self, function: Any, span: Span, positional: Sequence[Arg],
             named: Mapping[str, Arg], expr: t.Expr | None = None) -> Any:
        return calls.call(self, function, span, positional, named, expr)

    def scan(self, expr: t.Scan, scope: Scope) -> Any:
        return scans.lower_scan(self, expr, scope)

    def arg(self, expr: t.Expr, scope: Scope) -> Arg:
        return Arg(self.evaluate(expr, scope), expr.span)

    # --- building ------------------------------------------------------------------------------

    @property
    def level(self) -> int:
        return len(self.levels) - 1

    @property
    def builder(self) -> Builder:
        return self.levels[-1].builder

    def emit(self, op: str, args: Sequence[Arg], span: Span, **attrs: Any) -> Any:
        """Appends a node; what its type rule rejects is reported at the blamed argument."""
        if any(arg.value is POISON for arg in args):
            return POISON
        values = [self.local(arg.value) for arg in args]
        builder = self.builder
        builder.origin = self.origin(span)
        try:
            result = builder(op, *values, **attrs)
        except Reject as reject:
            self.report(errors.rejected(op, reject, args, span, self))
            return POISON
        if any(isinstance(dim, int) and dim < 0 for dim in result.type.shape):
            self.report(errors.negative_dimension(span, result.type))
            return POISON
        if not limits.fits(result.type):
            self.report(errors.tensor_too_large(span, result.type))
            return POISON
        return Tensor(result, self.level)

    def local(self, tensor: Tensor) -> Value:
        """The tensor as a value of the graph under construction; captured if it lies outside."""
        return self._at_level(tensor, self.level)

    def _at_level(self, tensor: Tensor, level: int) -> Value:
        if tensor.level >= level:
            return tensor.value
        here = self.levels[level]
        key = (tensor.level, tensor.value.ref)
        if key not in here.captures:
            self._at_level(tensor, level - 1)
            here.captured.append(tensor)
            name = f"k{len(here.captured) - 1}"
            here.captures[key] = here.builder.input(name, tensor.type)
        return here.captures[key]

    def constant(self, value: int | float | bool | Dim, dtype: str, span: Span) -> Tensor:
        """A number of the text as a scalar tensor."""
        self.builder.origin = self.origin(span)
        if isinstance(value, (bool, float)):
            return Tensor(self.builder.scalar(value, dtype), self.level)
        return Tensor(self.builder.dim(value, dtype), self.level)

    def system(self, name: str) -> Tensor:
        """The system input `seed` or `step`, an `i64[]` of the program itself."""
        key = (self.levels[0] is self.initial, name)
        if key not in self.systems:
            value = self.levels[0].builder.input(name, TensorType("i64"))
            self.systems[key] = Tensor(value, 0)
        return self.systems[key]

    def origin(self, span: Span) -> Origin:
        """The author's own line, even where the node is made by the library."""
        return Origin(self.authors_span(span), ".".join(self.path))

    # --- names of parameters -------------------------------------------------------------------

    @contextmanager
    def inside(self, *components: str) -> Iterator[None]:
        """Lowers under a longer path."""
        outer, self.path = self.path, [*self.path, *(c for c in components if c)]
        if sum(map(len, self.path)) > limits.MAX_PATH:
            assert self.at is not None
            where = self.authors_span(self.at)
            raise Limit(errors.path_too_long(self.path, where, limits.MAX_PATH))
        statement, self.statement = self.statement, Statement()
        try:
            yield
        finally:
            self.path, self.statement = outer, statement

    def unique(self, *components: str) -> tuple[str, ...]:
        """The components, the last one numbered (`dense_2`) where this path was taken before."""
        key = (*self.path, *components)
        self.counters[key] = count = self.counters.get(key, 0) + 1
        return components if count == 1 else (*components[:-1], f"{components[-1]}_{count}")

    @contextmanager
    def initialising(self, path: str) -> Iterator[None]:
        """Lowers into the graph of first values, under the variable's own path."""
        outer = self.levels, self.path, self.statement
        self.levels, self.path, self.statement = [self.initial], path.split("."), Statement()
        try:
            yield
        finally:
            self.levels, self.path, self.statement = outer

    # --- reporting -----------------------------------------------------------------------------

    def authors_span(self, span: Span) -> Span:
        """The innermost place in the author's own files: the call into the library, if any."""
        if not in_library(span):
            return span
        for frame in reversed(self.frames):
            if not in_library(frame.call):
                return frame.call
        return span

    def authors_argument(self, span: Span) -> Span | None:
        """What the author wrote for a parameter that the library mentions; None for other words."""
        for frame in reversed(self.frames):
            if not in_library(span):
                break
            if span.text not in frame.arguments:
                return None
            span = frame.arguments[span.text].span
        return None if in_library(span) else span

    def report(self, diagnostic: Diagnostic) -> None:
        """Reports a mistake; one that shows inside the library is shown at the author's call."""
        label = diagnostic.label
        if label is not None and self.authors_span(label.span) != label.span:
            diagnostic = errors.at_call(diagnostic, self)
        self.sink.report(diagnostic)
        if diagnostic.severity == "error":
            self.budget.complaints += 1
            full = len(self.sink.errors) >= MAX_REPORTED
            if full or self.budget.complaints >= limits.MAX_COMPLAINTS:
                raise Stop

    def spend(self, amount: int, span: Span) -> None:
        """Counts work, and ends the lowering when it was too much."""
        self.budget.work += amount
        if self.budget.work > limits.MAX_WORK:
            where = self.frames[0].call if self.frames else span
            raise Limit(errors.too_much_work(where, limits.MAX_WORK))

    def foresee(self, amount: int, span: Span) -> None:
        """Ends the lowering at once where so much more work is to come."""
        if self.budget.work + amount > limits.MAX_WORK:
            where = self.authors_span(span)
            total = self.budget.work + amount
            raise Limit(errors.unrolls_too_far(where, total, limits.MAX_WORK))

    def _descend(self, span: Span) -> None:
        self.spend(1, span)
        self.at = span
        self.budget.depth += 1
        if self.budget.depth > limits.MAX_DEPTH:
            raise Limit(errors.too_deep(self.authors_span(span), limits.MAX_DEPTH))

    @contextmanager
    def frame(
        self, call: Span, block: str, arguments: Mapping[str, Arg] | None = None
    ) -> Iterator[None]:
        if len(self.frames) >= limits.MAX_CALLS:
            chain = [frame.block for frame in self.frames]
            raise Limit(errors.too_many_calls(self.authors_span(call), block, chain))
        self.frames.append(Frame(call, block, arguments or {}))
        try:
            yield
        finally:
            self.frames.pop()

    def defined_at(self, tensor: Tensor) -> Label | None:
        """Where the tensor was made, to show beside a clash."""
        span = self.node_of(tensor).origin.span
        return Label(span, f"{tensor.type} from here") if span else None

    def node_of(self, tensor: Tensor) -> Node:
        return self.levels[min(tensor.level, self.level)].builder.nodes[tensor.value.ref.node]
