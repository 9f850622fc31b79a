"""The stored parse tables, and the words of the grammar."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowc.syntax import grammar, words
from flowc.syntax.build import Builder
from flowc.syntax.lark_tables import make_tables, written
from flowc_grammar import TABLES


def test_the_stored_tables_are_those_of_the_grammar() -> None:
    current = written(make_tables())
    assert TABLES.read_text("utf-8") == current, "run `python -m flowc.syntax.lark_tables`"


def test_without_stored_tables_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = grammar._data()
    monkeypatch.setattr(grammar, "TABLES", tmp_path / "missing.json")
    assert grammar._data.__wrapped__() == stored


def test_every_rule_that_makes_a_node_has_its_builder() -> None:
    makers = {r["method"] for r in make_tables()["rules"] if not r["only"]}
    without = {name for name in makers if not hasattr(Builder, name)}
    assert all(name.startswith("_") for name in without), without


def test_each_word_of_the_grammar_is_reserved_or_soft_and_no_other_is() -> None:
    known = [words.RESERVED, words.ITEMS, words.STATEMENTS, words.PLACING, words.INNER]
    listed = [word for table in known for word in table] + ["loss"]
    assert len(listed) == len(set(listed))
    spelled = {text for text in grammar.spellings().values() if text.isidentifier()}
    assert set(listed) == spelled
