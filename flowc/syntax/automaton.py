"""The pushdown automaton that runs the parse tables: shift, reduce, and what would fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flowc.syntax.tokens import Token


class Reduction(NamedTuple):
    """A rule is complete: replace its `size` parts by what `build` makes of them."""

    size: int
    symbol: str
    build: Callable[[list[Any]], Any]


@dataclass(frozen=True, slots=True)
class Tables:
    """For each state and symbol the next state, or for a terminal the rule that is complete."""

    states: Sequence[Mapping[str, int | Reduction]]
    start: int
    end: int


class Automaton:
    """A parse under way. It can be wound back to a height that it had before."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.states = [tables.start]
        self.values: list[Any] = []

    @property
    def height(self) -> int:
        return len(self.values)

    def wind_back(self, height: int) -> None:
        del self.values[height:]
        del self.states[height + 1 :]

    def feed(self, token: Token) -> bool:
        """Take a token; False if it does not fit. What a rule's builder raises passes through."""
        state = self._reduce_before(token.type)
        if state is None:
            return False
        self.states.append(state)
        self.values.append(token)
        return True

    def finish(self) -> Any:
        """What the whole text was made into. Only after a complete statement."""
        self._reduce_before("$END")
        return self.values[-1]

    def _reduce_before(self, terminal: str) -> int | None:
        """Apply the rules that are complete if `terminal` follows; the state that it leads to."""
        table, states, values = self.tables.states, self.states, self.values
        while True:
            action = table[states[-1]].get(terminal)
            if not isinstance(action, Reduction):
                return action
            size, symbol, build = action
            parts = values[-size:] if size else []
            if size:
                del states[-size:]
                del values[-size:]
            value = build(parts)
            states.append(table[states[-1]][symbol])  # type: ignore[arg-type]
            values.append(value)

    def accepted(self) -> set[str]:
        """The terminals that fit here."""
        here = self.tables.states[self.states[-1]]
        return {symbol for symbol in here if symbol.isupper() and self._would_take(symbol)}

    def _would_take(self, terminal: str) -> bool:
        states = list(self.states)
        while True:
            action = self.tables.states[states[-1]].get(terminal)
            if not isinstance(action, Reduction):
                return action is not None
            del states[len(states) - action.size :]
            after = self.tables.states[states[-1]][action.symbol]
            if after == self.tables.end:
                return True
            assert isinstance(after, int)
            states.append(after)
