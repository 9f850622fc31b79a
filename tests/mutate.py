"""Wrong `.flow` texts by the thousand: mutations of sound ones, and small ones grown at random."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

TOKEN = re.compile(r"\s+|#[^\n]*|\"[^\"\n]*\"|[A-Za-z_]\w*|[0-9][\w.]*|\|>|->|\.\.|[=!<>]=|.", re.S)
NUMBERS = (
    "0", "1", "-1", "2", "3", "7", "0.5", "-0.0", "1e30", "1e-30", "1e308", "65536", "4294967296",
    "9223372036854775807", "9223372036854775808", "99999999999999999999", "1_000",
)  # fmt: skip
WORDS = (
    "batch", "x", "image", "label", "training", "param", "state", "next", "scan", "over", "time",
    "carry", "yield", "return", "repeat", "if", "else", "as", "layer", "input", "output", "loss",
    "metric", "assert", "import", "model", "block", "train", "data", "place", "hyper", "f32", "u8",
    "i32", "bool", "int", "float", "dense", "relu", "conv2d", "mean", "sum", "reshape", "concat",
    "split", "transpose", "cast", "zeros", "glorot", "adam", "sgd", "cosine", "idx", "csv", "text",
    "shuffle", "take", "lookup", "pick", "where", "softmax", "cross_entropy", "lstm_cell", "true",
    "false", "and", "or", "not", "in", "except", "self", "None", "def", "для", "",
)  # fmt: skip
MARKS = tuple("()[]{}=,:.;|+-*/%^@<>!&?\"'\\#\n\t\0é\u200b") + (
    "|>", "->", "..", "...", "==", "**", "//", "{}", "()", "[]", "\r\n",
)  # fmt: skip

Mutation = Callable[[random.Random, list[str]], None]


def mutated(rng: random.Random, text: str, others: Sequence[str]) -> str:
    """`text` after one to four small accidents; words may come in from `others`."""
    tokens = TOKEN.findall(text)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        if tokens:
            rng.choice(MUTATIONS)(rng, tokens)
    if rng.random() < 0.1:
        _borrow(rng, tokens, TOKEN.findall(rng.choice(others)))
    return "".join(tokens)


def _place(rng: random.Random, tokens: list[str]) -> int:
    """The position of a token that is no blank, if there is one."""
    solid = [i for i, token in enumerate(tokens) if not token.isspace()]
    return rng.choice(solid) if solid else 0


def _delete(rng: random.Random, tokens: list[str]) -> None:
    del tokens[_place(rng, tokens)]


def _duplicate(rng: random.Random, tokens: list[str]) -> None:
    at = _place(rng, tokens)
    tokens[at:at] = [tokens[at], rng.choice(("", " "))]


def _swap(rng: random.Random, tokens: list[str]) -> None:
    a, b = _place(rng, tokens), _place(rng, tokens)
    tokens[a], tokens[b] = tokens[b], tokens[a]


def _number(rng: random.Random, tokens: list[str]) -> None:
    numbers = [i for i, token in enumerate(tokens) if token[:1].isdigit()]
    if numbers:
        tokens[rng.choice(numbers)] = rng.choice(NUMBERS)


def _rename(rng: random.Random, tokens: list[str]) -> None:
    names = [i for i, token in enumerate(tokens) if token.isidentifier()]
    if names:
        tokens[rng.choice(names)] = rng.choice((*WORDS, *(tokens[i] for i in names)))


def _misspell(rng: random.Random, tokens: list[str]) -> None:
    at = _place(rng, tokens)
    if tokens[at]:
        letter = rng.randrange(len(tokens[at]))
        tokens[at] = tokens[at][:letter] + rng.choice("abcxyz_019") + tokens[at][letter + 1 :]


def _insert(rng: random.Random, tokens: list[str]) -> None:
    tokens.insert(_place(rng, tokens), f" {rng.choice((*MARKS, *WORDS, *NUMBERS))} ")


def _replace(rng: random.Random, tokens: list[str]) -> None:
    tokens[_place(rng, tokens)] = rng.choice((*MARKS, *WORDS, *NUMBERS))


def _cut(rng: random.Random, tokens: list[str]) -> None:
    start = _place(rng, tokens)
    del tokens[start : start + rng.randint(1, 8)]


def _end(rng: random.Random, tokens: list[str]) -> None:
    del tokens[_place(rng, tokens) :]


def _move_line(rng: random.Random, tokens: list[str]) -> None:
    lines = "".join(tokens).split("\n")
    line = lines.pop(rng.randrange(len(lines)))
    lines.insert(rng.randint(0, len(lines)), line)
    tokens[:] = TOKEN.findall("\n".join(lines))


def _repeat_line(rng: random.Random, tokens: list[str]) -> None:
    lines = "".join(tokens).split("\n")
    at = rng.randrange(len(lines))
    lines[at:at] = [lines[at]] * rng.choice((1, 1, 2, 5))
    tokens[:] = TOKEN.findall("\n".join(lines))


def _drop_line(rng: random.Random, tokens: list[str]) -> None:
    lines = "".join(tokens).split("\n")
    lines.pop(rng.randrange(len(lines)))
    tokens[:] = TOKEN.findall("\n".join(lines))


def _borrow(rng: random.Random, tokens: list[str], other: list[str]) -> None:
    start = rng.randrange(len(other) + 1)
    at = rng.randrange(len(tokens) + 1)
    tokens[at:at] = other[start : start + rng.randint(1, 12)]


MUTATIONS: tuple[Mutation, ...] = (
    _delete, _duplicate, _swap, _number, _number, _rename, _rename, _rename, _misspell, _insert,
    _replace, _cut, _end, _move_line, _repeat_line, _drop_line,
)  # fmt: skip


# --- texts grown from nothing -----------------------------------------------------------------

NAMES = ("x", "y", "h", "w", "n", "k", "f", "g", "label", "batch", "time")
FUNCTIONS = (
    "dense", "relu", "softmax", "mean", "sum", "max", "reshape", "transpose", "concat", "split",
    "cast", "flatten", "lookup", "pick", "where", "conv2d", "max_pool", "expand", "squeeze",
    "shape", "rank", "count", "fill", "zeros", "iota", "random_normal", "cumsum", "argmax", "pad",
    "stack", "permute", "broadcast", "cross_entropy", "layer_norm", "batch_norm", "dropout",
    "attention", "embedding", "lstm_cell", "one_hot", "f", "g", "product", "dtype", "is_number",
    "convolve", "avg_pool", "orthogonalize", "zeros_like", "stop_gradient", "clip", "norm", "huber",
)  # fmt: skip
ARGUMENTS = ("axis", "over", "keep", "width", "size", "stride", "padding", "shape", "bias", "init")
OPERATORS = (
    "+", "-", "*", "/", "//", "%", "^", "@", "==", "<", ">=", "and", "or", "|>", "..", "except",
)  # fmt: skip


class Grower:
    """Grows a text along the grammar, without regard to what it means."""

    def __init__(self, rng: random.Random):
        self.rng = rng

    def text(self) -> str:
        items = [self._item() for _ in range(self.rng.randint(0, 2))]
        model = ["model m {", "  input x: f32[batch, 4, 4]", "  input label: i32[batch]"]
        model += [f"  {self._statement(2)}" for _ in range(self.rng.randint(1, 5))]
        return "\n".join([*items, *model, "  loss = " + self._value(2), "}", ""])

    def _item(self) -> str:
        name, kind = self.rng.choice(NAMES), self.rng.choice(("int", "float", "bool", "str"))
        return self.rng.choice((
            lambda: f"hyper {name}: {kind} = {self._value(1)}",
            lambda: f"hyper {name}: {kind} = {self._atom()} in {self._value(1)}",
            lambda: f"block {name}({self._parameters()}){self._results()} {self._body()}",
            lambda: f"optimizer {name}({self._parameters()}) {self._body()}",
            lambda: f"schedule {name}({self._parameters()}) {{\n  return {self._value(2)}\n}}",
            lambda: f"data {name} = {self._value(2)} -> ({self._names()})",
            lambda: f"train {{\n  data = {name}\n  optimizer = {self._value(2)}\n}}",
        ))()  # fmt: skip

    def _body(self) -> str:
        lines = [self._statement(1) for _ in range(self.rng.randint(0, 3))]
        return "{\n  " + "\n  ".join([*lines, f"return {self._value(2)}"]) + "\n}"

    def _statement(self, depth: int) -> str:
        name = self.rng.choice(NAMES)
        simple: tuple[Callable[[], str], ...] = (
            lambda: f"{name} = {self._value(depth + 1)}",
            lambda: f"{name} = {self._value(depth + 1)}",
            lambda: f"{self._names()} = {self._value(depth)}",
            lambda: f"{name}({self._names()}) = {self._value(depth)}",
            lambda: f"param {name}: {self._type()} = {self._value(1)}",
            lambda: f"state {name}: {self._type()} = {self._value(1)}",
            lambda: f"next {name} = {self._value(depth)}",
            lambda: f"layer {name} = {self._call(1)}",
            lambda: f"metric {name} = {self._value(depth)}",
            lambda: f"output {name} = {self._value(depth)}",
            lambda: f"assert {self._value(depth)}",
            lambda: f"return {self._value(depth)}",
        )
        nested: tuple[Callable[[], str], ...] = (
            lambda: f"repeat {self._atom()} as i {{\n {self._statement(depth - 1)}\n}}",
            lambda: f"if {self._value(1)} {{\n {self._statement(depth - 1)}\n}}",
            lambda: f"{name} = scan {self._names()} over {self.rng.choice(NAMES)} as "
            f"{self._names()} carry ({name} = {self._value(1)}) {{\n"
            f" {self._statement(depth - 1)}\n yield {self._value(1)}\n}}",
        )
        return self.rng.choice(simple if depth <= 0 else (*simple, *nested))()

    def _value(self, depth: int) -> str:
        if depth <= 0:
            return self._atom()
        return self.rng.choice((
            self._atom,
            lambda: self._call(depth),
            lambda: self._call(depth),
            lambda: f"{self._value(depth - 1)} {self.rng.choice(OPERATORS)} "
            f"{self._value(depth - 1)}",
            lambda: f"[{self._value(depth - 1)}, {self._value(depth - 1)}]",
            lambda: f"({self._value(depth - 1)})",
            lambda: f"-{self._value(depth - 1)}",
            lambda: f"not {self._value(depth - 1)}",
            lambda: f"{self._atom()}[{self._value(depth - 1)}, :, {self._atom()}:]",
            lambda: f"{self._atom()}.{self.rng.choice(NAMES)}",
        ))()  # fmt: skip

    def _call(self, depth: int) -> str:
        arguments = [self._value(depth - 1) for _ in range(self.rng.randint(0, 3))]
        if self.rng.random() < 0.3:
            arguments.append(f"{self.rng.choice(ARGUMENTS)} = {self._value(depth - 1)}")
        return f"{self.rng.choice(FUNCTIONS)}({', '.join(arguments)})"

    def _atom(self) -> str:
        return self.rng.choice((
            lambda: self.rng.choice(NAMES), lambda: self.rng.choice(NAMES),
            lambda: "x", lambda: str(self.rng.randint(-1, 9)),
            lambda: self.rng.choice(NUMBERS), lambda: self.rng.choice(("true", "false", '"all"')),
            lambda: self.rng.choice(("f32", "i32", "pi", "training", "[2, 3]", "[batch, 16]")),
        ))()  # fmt: skip

    def _names(self) -> str:
        return ", ".join(self.rng.choice(NAMES) for _ in range(self.rng.randint(1, 3)))

    def _type(self) -> str:
        dims = [self._value(1) for _ in range(self.rng.randint(0, 3))]
        dtype = self.rng.choice(("f32", "f32", "i32", "u8", "bool", "t", "int"))
        return f"{dtype}[{', '.join(dims)}]" if dims else dtype

    def _parameters(self) -> str:
        return ", ".join(
            name + self.rng.choice(("", f": {self._type()}", f": int = {self._atom()}"))
            for name in self.rng.sample(NAMES, self.rng.randint(0, 3))
        )

    def _results(self) -> str:
        return self.rng.choice(("", "", f" -> {self._type()}"))
