"""What stands in `place`."""

from __future__ import annotations

from flowc.syntax import tree
from flowc.syntax.build.nodes import Parts, named, present, span_of, whole_number
from flowc.syntax.tokens import Token


class Placing:
    def place(self, parts: Parts) -> tree.Place:
        word, *statements, end = parts
        return tree.Place(word.span.to(end.span), tuple(statements))

    def replicate(self, parts: Parts) -> tree.Replicate:
        return tree.Replicate(span_of(parts), named(parts[2]))

    def spread(self, parts: Parts) -> tree.Spread:
        _, _, over, _, by = parts
        return tree.Spread(span_of(parts), named(over), by and named(by))

    def shard(self, parts: Parts) -> tree.Shard:
        _, pattern, _, axis, _, over = parts
        number = tree.Number(axis.span, whole_number(axis))
        return tree.Shard(span_of(parts), pattern, number, named(over))

    def stage(self, parts: Parts) -> tree.Stage:
        _, _, device, _, *patterns, _ = parts
        return tree.Stage(span_of(parts), device, present(patterns))

    def device(self, parts: Parts) -> tree.String:
        return tree.String(span_of(parts), ":".join(p.text for p in parts if p))

    def pipeline(self, parts: Parts) -> tree.Pipeline:
        return tree.Pipeline(span_of(parts), tuple(parts[1:]))

    def sync(self, parts: Parts) -> tree.Sync:
        return tree.Sync(span_of(parts), parts[1])

    def path(self, parts: Parts) -> Token:
        return Token("PATH", ".".join(p.text for p in parts), span_of(parts))

    def single_pattern(self, parts: Parts) -> tree.Pattern:
        return tree.Pattern(parts[0].span, parts[0].text, None)

    def open_pattern(self, parts: Parts) -> tree.Pattern:
        return tree.Pattern(span_of(parts), parts[0].text, "")

    def range_pattern(self, parts: Parts) -> tree.Pattern:
        return tree.Pattern(span_of(parts), parts[0].text, parts[2].text)
