"""Path patterns such as `encoder.*.weight`: `*` is a name or a part of it, `**` some names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

MAX_PATTERNS = 100  # in one setting: more than anybody writes


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern covers a path; `**` stands for one name at least, a `*` also for none."""
    parts, names = pattern.split("."), path.split(".")
    if len(parts) > len(names):
        return False
    return _covers(parts, names, "**", 1, _covers_name)


def unmatched(patterns: Iterable[str], paths: Sequence[str]) -> list[str]:
    """The patterns that cover none of the paths, in their order."""
    known = frozenset(paths)
    return [p for p in dict.fromkeys(patterns)
            if p not in known and not ("*" in p and any(matches(p, path) for path in paths))]


def _covers_name(part: str, name: str) -> bool:
    return part == name or ("*" in part and _covers(part, name, "*", 0, str.__eq__))


def _covers(
    pattern: Sequence[str], text: Sequence[str], many: str, least: int,
    covers: Callable[[str, str], bool],
) -> bool:
    """Whether pieces of a pattern cover a text, where `many` covers `least` or more pieces.

    Keeps the set of places in the text that the pattern so far can end at, so that the time is
    bounded by the product of both lengths.
    """
    ends = {0}
    for piece in pattern:
        if piece == many:
            ends = set(range(min(ends) + least, len(text) + 1))
        else:
            ends = {end + 1 for end in ends if end < len(text) and covers(piece, text[end])}
        if not ends:
            return False
    return len(text) in ends
