"""Type rules: what they infer for symbolic sizes, and what they say when they refuse."""

from typing import Any

import pytest

from flowc_runtime.dims import symbol
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Reject
from flowc_runtime.ops.rules import broadcast_shapes
from flowc_runtime.types import parse_type

BATCH = symbol("batch")
PLAIN = {"transpose_a": False, "transpose_b": False}
OPEN = {"starts": (0, 1), "stops": (None, 3), "steps": (1, 1)}


def infer(op: str, *types: str, **attrs: Any) -> str:
    return str(*CATALOG[op].infer(tuple(map(parse_type, types)), attrs))


@pytest.mark.parametrize(
    ("result", "op", "types", "attrs"),
    [
        ("f32[batch, 10]", "add", ["f32[batch, 10]", "f32[10]"], {}),
        ("f32[batch, batch]", "mul", ["f32[batch, 1]", "f32[batch]"], {}),
        ("bool[batch]", "less", ["i32[batch]", "i32[]"], {}),
        ("f32[batch, 4]", "where", ["bool[batch, 1]", "f32[4]", "f32[]"], {}),
        ("f32[batch, 10]", "matmul", ["f32[batch, 784]", "f32[784, 10]"], PLAIN),
        ("f32[batch, 4, 9, 9]", "matmul", ["f32[batch, 4, 9, 5]", "f32[4, 5, 9]"], PLAIN),
        ("f32[batch, 784]", "reshape", ["f32[batch, 28, 28]"], {"shape": (BATCH, 784)}),
        ("f32[28*batch, 28]", "reshape", ["f32[batch, 28, 28]"], {"shape": (28 * BATCH, 28)}),
        ("f32[3, batch]", "transpose", ["f32[batch, 3]"], {"perm": (1, 0)}),
        ("f32[batch, 3]", "broadcast", ["f32[3]"], {"shape": (BATCH, 3)}),
        ("f32[10]", "reduce_sum", ["f32[batch, 10]"], {"axes": (0,), "keep": False}),
        ("f32[1, 10]", "reduce_max", ["f32[batch, 10]"], {"axes": (0,), "keep": True}),
        ("i32[batch]", "argmax", ["f32[batch, 10]"], {"axis": 1}),
        ("f32[2*batch, 3]", "concat", ["f32[batch, 3]", "f32[batch, 3]"], {"axis": 0}),
        ("f32[batch + 3]", "pad", ["f32[batch]"], {"before": (1,), "after": (2,), "value": 0.0}),
        ("f32[batch, 2]", "slice", ["f32[batch, 5]"], OPEN),
        (
            "f32[batch - 1]",
            "slice",
            ["f32[batch]"],
            {"starts": (1,), "stops": (BATCH,), "steps": (1,)},
        ),
        ("f32[batch, 64, 8]", "gather", ["f32[96, 8]", "i32[batch, 64]"], {}),
        ("f32[96, 8]", "scatter_add", ["i32[batch]", "f32[batch, 8]"], {"rows": 96}),
        ("f32[batch]", "take_along", ["f32[batch, 10]", "i32[batch]"], {}),
        ("f32[batch, 10]", "put_along", ["i32[batch]", "f32[batch]"], {"size": 10}),
        ("bf16[batch, 3]", "cast", ["f32[batch, 3]"], {"dtype": "bf16"}),
        ("i64[batch]", "iota", [], {"shape": (BATCH,), "axis": 0, "dtype": "i64"}),
    ],
)
def test_a_rule_infers_symbolic_sizes(
    result: str, op: str, types: list[str], attrs: dict[str, Any]
) -> None:
    assert infer(op, *types, **attrs) == result


@pytest.mark.parametrize(
    ("message", "operand", "op", "types", "attrs"),
    [
        (
            "is i32, but f32 is needed to match the other operand; use cast(x, f32)",
            1,
            "add",
            ["f32[3]", "i32[3]"],
            {},
        ),
        ("is i32, but f32 is needed to match", 0, "add", ["i32[3]", "f32[3]"], {}),
        ("is f64, but f32 is needed to match", 1, "mul", ["f32[3]", "f64[3]"], {}),
        ("is i32, but f32 is needed to match", 2, "where", ["bool[]", "f32[]", "i32[]"], {}),
        ("is f32, but bool is needed", 0, "where", ["f32[]", "f32[]", "f32[]"], {}),
        ("is i32, but a float is needed; use cast(x, f32)", 0, "exp", ["i32[3]"], {}),
        ("is bf16, but bf16 is for storage only; use cast(x, f32)", 0, "neg", ["bf16[3]"], {}),
        ("is bool, but a number is needed; use cast(x, f32)", 0, "neg", ["bool[3]"], {}),
        ("is i32, but a float is needed", 0, "div", ["i32[3]", "i32[3]"], {}),
        ("is f32, but bool is needed", 1, "logical_or", ["bool[3]", "f32[3]"], {}),
        (
            "has size 4 along axis 0, but needs 3 (or 1) to match [2, 3]",
            1,
            "add",
            ["f32[2, 3]", "f32[4]"],
            {},
        ),
        ("has size 8 along axis 0, but needs batch (or 1)", 1, "sub", ["f32[batch]", "f32[8]"], {}),
        ("but needs 3 (or 1)", 2, "where", ["bool[3]", "f32[]", "f32[4]"], {}),
        (
            "needs 784 rows to match f32[8, 784], but has 512: it is f32[512, 10]",
            1,
            "matmul",
            ["f32[8, 784]", "f32[512, 10]"],
            PLAIN,
        ),
        (
            "needs 784 columns to match f32[8, 784], but has 512",
            1,
            "matmul",
            ["f32[8, 784]", "f32[10, 512]"],
            {"transpose_a": False, "transpose_b": True},
        ),
        ("needs at least 2 axes, but is f32[4]", 0, "matmul", ["f32[4]", "f32[4, 2]"], PLAIN),
        ("has size 3", 1, "matmul", ["f32[2, 4, 4]", "f32[3, 4, 4]"], PLAIN),
        (
            "has 784*batch elements (f32[batch, 28, 28]), but the shape [batch, 9] needs 9*batch",
            0,
            "reshape",
            ["f32[batch, 28, 28]"],
            {"shape": (BATCH, 9)},
        ),
        ("is no permutation of them", 0, "transpose", ["f32[2, 3]"], {"perm": (0, 0)}),
        ("does not stretch to [2, 4]", 0, "broadcast", ["f32[2, 4, 1]"], {"shape": (2, 4)}),
        ("has size 3 along axis 0", 0, "broadcast", ["f32[3]"], {"shape": (2, 4)}),
        ("does not stretch to [1]", 0, "broadcast", ["f32[3]"], {"shape": (1,)}),
        ("has no axis 2: it is f32[2, 3]", 0, "argmax", ["f32[2, 3]"], {"axis": 2}),
        (
            "is reduced twice",
            0,
            "reduce_sum",
            ["f32[2, 3]"],
            {"axes": (1, 1), "keep": False},
        ),
        (
            "has no elements along axis 1",
            0,
            "reduce_max",
            ["f32[2, 0]"],
            {"axes": (1,), "keep": False},
        ),
        ("needs size 3 along axis 1", 1, "concat", ["f32[2, 3]", "f32[2, 4]"], {"axis": 0}),
        ("needs 2 axes", 1, "concat", ["f32[2, 3]", "f32[2]"], {"axis": 0}),
        (
            "but the padding has 1",
            0,
            "pad",
            ["f32[2, 3]"],
            {"before": (1,), "after": (1,), "value": 0.0},
        ),
        (
            "is i8[2], which cannot be padded with 300",
            0,
            "pad",
            ["i8[2]"],
            {"before": (1,), "after": (1,), "value": 300},
        ),
        (
            "is i32[2], which cannot be padded with 0.5",
            0,
            "pad",
            ["i32[2]"],
            {"before": (1,), "after": (1,), "value": 0.5},
        ),
        (
            "is bf16[2], which cannot be padded with 1.0",
            0,
            "pad",
            ["bf16[2]"],
            {"before": (1,), "after": (1,), "value": 1.0},
        ),
        (
            "padded by a negative number",
            0,
            "pad",
            ["f32[2]"],
            {"before": (-1,), "after": (1,), "value": 0.0},
        ),
        (
            "has size 5 along axis 0; 2..6 does not lie inside",
            0,
            "slice",
            ["f32[5]"],
            {"starts": (2,), "stops": (6,), "steps": (1,)},
        ),
        (
            "with step 0",
            0,
            "slice",
            ["f32[5]"],
            {"starts": (2,), "stops": (4,), "steps": (0,)},
        ),
        (
            "needs a known size along axis 0 for step 2",
            0,
            "slice",
            ["f32[batch]"],
            {"starts": (0,), "stops": (4,), "steps": (2,)},
        ),
        (
            "is f32[2], but the slice of [5] is [3]",
            0,
            "unslice",
            ["f32[2]"],
            {"shape": (5,), "starts": (0,), "stops": (3,), "steps": (1,)},
        ),
        ("an integer is needed; use cast(x, i32)", 1, "gather", ["f32[9]", "f32[3]"], {}),
        ("needs the shape [batch]", 1, "take_along", ["f32[batch, 9]", "i32[3]"], {}),
        ("the dtypes are f64, f32", 0, "cast", ["f32[3]"], {"dtype": "f31"}),
        (
            "cannot count to 299 in u8",
            None,
            "iota",
            [],
            {"shape": (300,), "axis": 0, "dtype": "u8"},
        ),
    ],
)
def test_a_rule_blames_an_operand_and_names_sizes(
    message: str, operand: int | None, op: str, types: list[str], attrs: dict[str, Any]
) -> None:
    with pytest.raises(Reject) as caught:
        infer(op, *types, **attrs)
    assert message in caught.value.message
    assert caught.value.operand == operand


def test_broadcasting_a_clash_names_both_operands() -> None:
    with pytest.raises(Reject) as caught:
        broadcast_shapes((2, 3), (2, 4), operand=2, other=1)
    assert (caught.value.operand, caught.value.other) == (2, 1)


def test_the_type_of_a_leaf_is_not_inferred() -> None:
    for leaf in ("input", "variable", "const", "dim"):
        with pytest.raises(Reject):
            infer(leaf)
