"""The parse tables, made from the grammar by Lark: plain data that is stored beside the grammar.

Making them takes Lark 150 ms, reading them 5 ms. After a change of the grammar they are made
anew at each start, until `python -m flowc.syntax.lark_tables` writes them down.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from flowc_grammar import TABLES, grammar

if TYPE_CHECKING:
    from lark import Lark
    from lark.grammar import Rule

Data = dict[str, Any]
Rows = Mapping[Any, Mapping[str, tuple[Any, Any]]]  # state → symbol → what to do, and with what


def fingerprint() -> str:
    """What tells tables of this grammar from those of another."""
    return sha256(grammar().encode()).hexdigest()


def make_tables() -> Data:
    """The tables as JSON has them; the same for the same grammar.

    In `states` a number from 0 is the next state, one below is a rule: -1 is the first. The parts
    that a rule passes on are listed as [index, 1 if its own parts stand in its place]; an index
    of -1 stands for an optional part that is missing.
    """
    from lark.parsers.lalr_analysis import Shift

    lark = _lark()
    conf = lark.parse_interactive().parser_state.parse_conf
    order = {state: number for number, state in enumerate(_in_order(conf.states, conf.start_state))}
    rules = {rule: number for number, rule in enumerate(sorted(lark.rules, key=_rule_key))}

    def action(kind: object, target: Any) -> int:
        return order[target] if kind is Shift else -1 - rules[target]

    return {
        "grammar": fingerprint(),
        "terminals": {t.name: [t.pattern.type, t.pattern.value] for t in _terminals(lark)},
        "rules": [_rule(rule) for rule in rules],
        "start": order[conf.start_state],
        "end": order[conf.end_state],
        "states": [
            {symbol: action(*conf.states[state][symbol]) for symbol in sorted(conf.states[state])}
            for state in order
        ],
    }


def _lark() -> Lark:
    from lark import Lark
    from lark.lexer import Lexer

    class NoLexer(Lexer):
        """Stands where Lark has lexers of its own: the tokens come from lexer.py."""

        def __init__(self, conf: object) -> None:
            pass

        def lex(self, *_: object) -> Iterator[Any]:
            return iter(())

    return Lark(grammar(), parser="lalr", lexer=NoLexer, maybe_placeholders=True)


def _terminals(lark: Lark) -> list[Any]:
    return sorted(lark.terminals, key=lambda terminal: terminal.name)


def _in_order(states: Rows, start: Any) -> list[Any]:
    """The states in the order in which they are reached, which does not depend on Lark's."""
    from lark.parsers.lalr_analysis import Shift

    order = [start]
    seen = {start}
    for state in order:
        for symbol in sorted(states[state]):
            kind, target = states[state][symbol]
            if kind is Shift and target not in seen:
                seen.add(target)
                order.append(target)
    return order


def _rule_key(rule: Rule) -> tuple[str, list[str]]:
    return rule.origin.name, [symbol.name for symbol in rule.expansion]


def _rule(rule: Rule) -> Data:
    missing = rule.options.empty_indices or [False] * len(rule.expansion)
    parts: list[list[int]] = []
    symbols = enumerate(rule.expansion)
    for is_missing in missing:
        if is_missing:
            parts.append([-1, 0])
            continue
        index, symbol = next(symbols)
        if not getattr(symbol, "filter_out", False):  # which only terminals have
            parts.append([index, int(not symbol.is_term and symbol.name.startswith("_"))])
    return {
        "symbol": str(rule.origin.name),
        "size": len(rule.expansion),
        "method": str(rule.alias or rule.origin.name),
        "only": bool(rule.options.expand1 and not rule.alias),  # a single part stands for itself
        "parts": parts,
    }


def written(tables: Data) -> str:
    """The text of the file: a rule or a state on each line."""
    lines = []
    for key, value in tables.items():
        if key in ("rules", "states"):
            rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in value)
            lines.append(f'"{key}": [\n{rows}\n]')
        else:
            lines.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    TABLES.write_text(written(make_tables()), "utf-8")
