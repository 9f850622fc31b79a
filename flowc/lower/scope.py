"""Scopes: which name means what, where it was bound, and whether anybody used it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flowc.source import Span


@dataclass(slots=True)
class Binding:
    """A value under a name. `span` is where it was bound; None for what the compiler provides."""

    value: Any
    span: Span | None = None
    noun: str = "name"  # what it is called in messages: dimension, parameter, state, ...


@dataclass
class Scope:
    """Names with a parent to look further in. `kind` says what opened it.

    `module`, `block`, `model`, `optimizer`, `schedule` and `function` are boundaries: a binding
    inside never changes a name outside. `repeat` is none: rebinding an outer name carries it
    round. `scan` is one, but for its carries.
    """

    kind: str
    parent: Scope | None = None
    names: dict[str, Binding] = field(default_factory=dict)

    def find(self, name: str) -> Binding | None:
        scope: Scope | None = self
        while scope is not None:
            found = scope.own(name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def own(self, name: str) -> Binding | None:
        """The binding in this scope itself."""
        return self.names.get(name)

    def own_names(self) -> Iterator[str]:
        yield from self.names

    def bind(self, name: str, value: Any, span: Span | None = None, noun: str = "name") -> None:
        """Binds the name where a statement of this scope binds it."""
        self._home(name).names[name] = Binding(value, span, noun)

    def enclosing(self, *kinds: str) -> Scope | None:
        """The nearest scope of one of the kinds, this one included."""
        scope: Scope | None = self
        while scope is not None and scope.kind not in kinds:
            scope = scope.parent
        return scope

    def visible(self) -> Iterator[str]:
        """Every name that can be used here."""
        scope: Scope | None = self
        while scope is not None:
            yield from scope.own_names()
            scope = scope.parent

    def _home(self, name: str) -> Scope:
        scope = self
        while scope.kind == "repeat" and scope.parent is not None and name not in scope.names:
            if _bound_outside(scope.parent, name):
                scope = scope.parent
            else:
                return self
        return scope


def _bound_outside(scope: Scope, name: str) -> bool:
    """Whether the name is bound by the statements around a `repeat` (not by the file)."""
    while True:
        if name in scope.names:
            return scope.kind != "module"
        if scope.kind != "repeat" or scope.parent is None:
            return False
        scope = scope.parent
