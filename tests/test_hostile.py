"""Short texts that ask for endless work: each ends in a message, soon and in bounded memory."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from flowc.diagnostic import Sink, Stop
from flowc.driver import Options, check, check_learning
from flowc.source import Source

SECONDS = 2.0  # of processor time; alone on a machine they take less than one
MEMORY_BYTES = 200 << 20


def model(body: str, items: str = "") -> str:
    return f"{items}\nmodel m {{\n  input x: f32[batch, 4]\n{body}\n  loss = mean(x)\n}}\n"


def chain(call: str, count: int = 30) -> str:
    """Blocks b0, b1, ... where each is made of calls of the one before."""
    blocks = ["block b0(x) {\n  return x\n}"]
    for i in range(1, count):
        blocks.append(f"block b{i}(x) {{\n  return {call.format(f'b{i - 1}')}\n}}")
    return "\n".join(blocks)


def lines(pattern: str, count: int) -> str:
    return "\n".join(pattern.format(i=i) for i in range(count))


LONG = "batch + 1, " * 3000 + "1"
TEXTS = {
    "a repeat of a billion": ("too-large", model("  repeat 1000000000 {\n    x = x + 1\n  }")),
    "an empty one": ("too-large", model("  repeat 1000000000 {\n  }")),
    "repeats in repeats": ("too-large", model("  repeat 50 {\n" * 8 + "  x = x + 1\n" + "}\n" * 8)),
    "a branch not taken, often": (
        "too-large",
        model("  repeat 10000 {\n  if false {\n" + "  y = x + x + x\n" * 3000 + "  }\n  }"),
    ),
    "blocks that double": ("too-large", model("  y = b25(x)", chain("{0}({0}(x))"))),
    "blocks that double a number": ("too-large", model("  y = b25(1)", chain("{0}({0}(x))"))),
    "functions that double": (
        "too-large",
        model("  f0(t) = t\n" + "\n".join(f"  f{i}(t) = f{i - 1}(f{i - 1}(t))"
                                          for i in range(1, 26)) + "\n  y = f25(1)"),
    ),
    "functions that double a mistake": (
        "unknown-name",
        model("  f0(t) = t + nothing\n" + "\n".join(f"  f{i}(t) = f{i - 1}(t) + f{i - 1}(t)"
                                                    for i in range(1, 26)) + "\n  y = f25(1)"),
    ),
    "blocks in blocks": ("too-deep", model("  y = b79(x)", chain("relu({0}(x) + 1)", 80))),
    "a block in itself": ("too-deep", model("  y = f(x)", "block f(x) {\n  return f(x) + f(x)\n}")),
    "layers in layers": (
        "too-deep",
        model("  y = b79(x)", "block b0(x) {\n  return x\n}\n" + "\n".join(
            f"block b{i}(x) {{\n  layer l = b{i - 1}()\n  return l(x)\n}}" for i in range(1, 80))),
    ),
    "calls in calls": ("too-deep", model("  y = " + "relu(" * 400 + "x" + ")" * 400)),
    "a long sum": ("too-deep", model("  y = x" + " + x" * 30_000)),
    "a long pipe": ("too-deep", model("  y = x" + " |> relu" * 30_000)),
    "lists that double": ("too-large", model("  n = [1, 2]\n" + "  n = [n, n]\n" * 40)),
    "a long list": ("too-large", model("  n = [" + "1, " * 40_000 + "1]")),
    "dimensions to a power": ("out-of-range", model("  n = batch + 1\n" + "  n = n * n\n" * 30)),
    "factors without end": (
        "out-of-range", model("  n = batch + 1\n" + "  n = n * 1000000000000\n" * 300)),
    "axes without end": ("too-large", model("  repeat 3000 {\n    x = expand(x, 0)\n  }")),
    "dimensions without end": ("too-large", model(f"  y = fill([{LONG}], 0)")),
    "a shape without end": ("too-large", model(f"  y = reshape(x, [{LONG}, -1])")),
    "an index without end": ("too-large", model(f"  y = scatter_add_nd(i, x, [{LONG}])").replace(
        "{\n", "{\n  input i: i32[batch, 2]\n", 1)),
    "a product without end": ("out-of-range", model(f"  n = product([{LONG}])")),
    "tensors that double": ("too-large", model("  y = x\n" + "  y = concat([y, y])\n" * 70)),
    "a giant parameter": ("too-large", model("  param w: f32[1000000000, 1000000000] = zeros")),
    "a giant batch": ("too-large", model("  output y = fill([batch, 1000000, 1000000], 0)")),
    "a giant power": ("out-of-range", model("  y = 9223372036854775807 ^ 64")),
    "a long name": (
        "too-deep",
        model(f"  y = relu({'b' * 5000}(x))", f"block {'b' * 5000}(x) {{\n  return x\n}}")),
    "two long names that differ": (
        "unknown-name", model(f"  {'ab' * 50_000} = x\n  y = {'ba' * 50_000}")),
    "thousands of mistakes": ("unknown-name", model(lines("  y{i} = unknown{i}(x)", 8000))),
    "thousands of warnings": ("unused-name", model(lines("  param w{i}: f32[4] = zeros", 4000))),
    "thousands of states": (
        "too-large", model(lines("  state s{i}: f32[] = 0\n  next s{i} = s{i} + 1", 11_000))),
    "thousands of patterns": (
        "unknown-path",
        model(lines("  y{i} = dense(x, 4)", 300)) + "place {\n"
        + lines("  shard q{i}.*.* axis 0 over ps", 3000) + "\n}\n"),
    "a pattern of stars": (
        "unknown-path",
        model("  y = b25(x)", chain("{0}(x)").replace("return x", "return dense(x, 4)", 1))
        + 'data d = npz("d.npz") -> (x)\ntrain {\n  data = d\n  freeze = "'
        + ".".join(["**"] * 16) + '.zz"\n}\n'),
    "a million characters": ("too-large", "#" * (1 << 21)),
    "thousands of brackets": ("too-deep", model("  y = " + "(" * 90_000)),
    "a long text in quotes": ("wrong-kind", model('  y = reshape(x, "' + "s" * 500_000 + '")')),
}  # fmt: skip


def codes(text: str) -> set[str]:
    sink = Sink()
    try:
        check_learning(check(Source("hostile.flow", text), sink, Options()), sink)
    except Stop:
        pass
    assert all(d.label for d in sink.diagnostics)
    return {d.code for d in sink.diagnostics}


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_ends_soon_in_a_message(name: str) -> None:
    code, text = TEXTS[name]
    started = time.process_time()
    assert code in codes(text)
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("name", ["a long sum", "thousands of states", "lists that double",
                                  "dimensions to a power", "thousands of brackets"])
def test_a_hostile_text_takes_little_memory(name: str) -> None:
    tracemalloc.start()
    try:
        codes(TEXTS[name][1])
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
    finally:
        tracemalloc.stop()
