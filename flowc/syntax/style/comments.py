"""The comments of a text, handed out in order to what they stand at."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from flowc.source import Source
from flowc.syntax.tree import Comment


class Comments:
    """A queue: whoever writes a part of the Tree takes the comments that belong to it."""

    def __init__(self, source: Source, comments: Sequence[Comment]) -> None:
        self.text = source.text
        self.comments = list(comments)
        self.starts = [comment.span.start for comment in comments]
        self.taken = 0

    def any_between(self, start: int, end: int) -> bool:
        """Whether a comment lies there, taken or not."""
        return bisect_left(self.starts, start) < bisect_left(self.starts, end)

    def before(self, offset: int) -> list[Comment]:
        """Take all that start before an offset."""
        first, self.taken = self.taken, max(self.taken, bisect_left(self.starts, offset))
        return list(self.comments[first : self.taken])

    def move_up(self, missed: int, since: int, offset: int) -> None:
        """Put the `missed` comments taken last before `offset`, and hand out again from `since`."""
        first = self.taken - missed
        moved = self.comments[first : self.taken]
        del self.comments[first : self.taken], self.starts[first : self.taken]
        self.comments[since:since] = moved
        self.starts[since:since] = [offset - 1] * missed
        self.taken = since

    def behind(self, offset: int, over: str = "") -> Comment | None:
        """Take the next one if it stands on the line of `offset`, behind nothing but `over`."""
        if self.taken == len(self.comments):
            return None
        start = self.starts[self.taken]
        between = self.text[offset:start] if offset <= start else "\n"
        if "\n" in between or between.strip(" \t\r\f" + over):
            return None
        self.taken += 1
        return self.comments[self.taken - 1]

    def behind_brace(self, offset: int) -> Comment | None:
        """Take the next one if it stands before `offset`, right behind an opening brace."""
        if self.taken == len(self.comments) or self.starts[self.taken] >= offset:
            return None
        start = self.starts[self.taken]
        line = self.text[self.text.rfind("\n", 0, start) + 1 : start]
        if not line.rstrip().endswith("{"):
            return None
        self.taken += 1
        return self.comments[self.taken - 1]


def neat(comment: Comment) -> str:
    """The comment with a space behind its sign."""
    text = comment.text
    return text if text[1:2] in ("", " ", "#", "!", ":") else f"# {text[1:]}"
