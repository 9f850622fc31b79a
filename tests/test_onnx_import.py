"""ONNX models as text: what it looks like, what it computes, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_cases
import pytest
from command_line import run

from flowc.onnx.errors import OnnxError
from flowc.onnx.importer import translate
from flowc.onnx.inputs import Wishes
from flowc.onnx.read import model_of
from flowc.onnx.write import Written, write

onnx = pytest.importorskip("onnx", reason="needs the package onnx: pip install 'flowc[onnx]'")
F32 = 1


def node(op: str, inputs: str, outputs: str, **attrs: Any) -> Any:
    return onnx.helper.make_node(op, inputs.split(" "), outputs.split(" "), **attrs)


def model(
    nodes: list[Any], inputs: dict[str, list[Any]], outputs: list[str],
    weights: dict[str, np.ndarray] | None = None, opset: int = 18,
) -> Any:
    make = onnx.helper.make_tensor_value_info
    kinds = [make(n, F32, shape) for n, shape in inputs.items()]
    made = onnx.helper.make_graph(
        nodes, "g", kinds, [make(n, F32, None) for n in outputs],
        [onnx.numpy_helper.from_array(v, n) for n, v in (weights or {}).items()])
    return onnx.helper.make_model(
        made, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=9)


def imported(proto: Any, **wishes: Any) -> Written:
    found = model_of(proto.SerializeToString(), Path("m.onnx"))
    return write(translate(found, Wishes(**wishes)), "m", "")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def both(proto: Any, **given: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The outputs of the imported text, and of ONNX's own reference."""
    from onnx.reference import ReferenceEvaluator

    shapes = {n: v.shape for n, v in given.items()}
    written = imported(proto, shapes=shapes)
    got = onnx_cases.run(written, given)
    names = [o.name for o in proto.graph.output]
    return [got[written.outputs[n]] for n in names], ReferenceEvaluator(proto).run(None, given)


def residual(blocks: int) -> Any:
    """An image through a convolution, equal residual blocks, and a classifier."""
    nodes = [node("Conv", "x stem.weight stem.bias", "s", pads=[1, 1, 1, 1])]
    weights = {"stem.weight": normal(8, 3, 3, 3), "stem.bias": normal(8)}
    value = "s"
    for i in range(blocks):
        for part in ("a", "b"):
            weights[f"blocks.{i}.{part}.weight"] = normal(8, 8, 3, 3, seed=i) / 8
            weights[f"blocks.{i}.{part}.bias"] = normal(8, seed=i)
        nodes += [
            node("Conv", f"{value} blocks.{i}.a.weight blocks.{i}.a.bias", f"a{i}",
                 pads=[1, 1, 1, 1]),
            node("Relu", f"a{i}", f"r{i}"),
            node("Conv", f"r{i} blocks.{i}.b.weight blocks.{i}.b.bias", f"b{i}",
                 pads=[1, 1, 1, 1]),
            node("Add", f"b{i} {value}", f"sum{i}"),
        ]
        value = f"sum{i}"
    nodes += [
        node("GlobalAveragePool", value, "pool"), node("Flatten", "pool", "flat"),
        node("Gemm", "flat fc.weight fc.bias", "logits", transB=1),
    ]
    weights |= {"fc.weight": normal(10, 8), "fc.bias": normal(10)}
    return model(nodes, {"x": ["N", 3, 12, 12]}, ["logits"], weights)


# --- the text -----------------------------------------------------------------------------------


def test_layers_keep_the_names_of_their_weights() -> None:
    written = imported(residual(1))
    assert {"stem.kernel", "stem.bias", "fc.weight", "fc.bias"} <= set(written.weights)
    assert "fc = flat |> dense(10)" in written.text


def test_equal_blocks_become_a_repeat_that_computes_the_same() -> None:
    proto = residual(4)
    written = imported(proto)
    assert "repeat 4 as unit {" in written.text
    assert written.text.count("conv2d(") == 3
    (got,), (want,) = both(proto, x=normal(2, 3, 12, 12))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_the_rounds_of_a_repeat_have_the_weights_of_their_blocks() -> None:
    written = imported(residual(4))
    paths = [p for p in written.weights if p.startswith("unit.2.") and p.endswith(".kernel")]
    assert len(paths) == 2
    np.testing.assert_array_equal(
        written.weights[paths[0]], (normal(8, 8, 3, 3, seed=2) / 8).transpose(2, 3, 1, 0))


def test_images_are_turned_once_at_the_start_and_never_between_layers() -> None:
    text = imported(residual(2)).text
    assert text.count("permute") == 1
    assert "transpose" not in text


def test_the_first_open_size_is_the_batch_and_stays_open() -> None:
    written = imported(residual(1))
    assert "input x: f32[batch, 3, 12, 12]" in written.text


def test_the_text_is_in_the_one_style() -> None:
    from flowc.diagnostic import Sink
    from flowc.source import Source
    from flowc.syntax.format import format_text

    text = imported(residual(4)).text
    assert format_text(Source("m.flow", text), Sink()) == text


def test_names_that_are_no_names_become_some() -> None:
    proto = model([node("Relu", "2:0 ", "and"[:3])], {"2:0": [2]}, ["and"])
    proto.graph.node[0].input.pop()
    (got,), (want,) = both(proto, **{"2:0": normal(2)})
    np.testing.assert_array_equal(got, want)


# --- what it computes ---------------------------------------------------------------------------

SAMPLES: dict[str, Callable[[], tuple[Any, dict[str, np.ndarray]]]] = {
    "concat of images along channels": lambda: (
        model([node("Conv", "x w", "a"), node("Conv", "x v", "c"),
               node("Concat", "a c", "y", axis=1), node("ReduceMax", "y", "z", keepdims=0)],
              {"x": [1, 2, 5, 5]}, ["y", "z"],
              {"w": normal(3, 2, 3, 3), "v": normal(4, 2, 3, 3)}),
        {"x": normal(1, 2, 5, 5)}),
    "a vector beside an image": lambda: (
        model([node("Conv", "x w", "a"), node("Mul", "a s", "b"), node("Add", "t b", "y")],
              {"x": [1, 2, 5, 4], "t": [4 - 2]}, ["y"],
              {"w": normal(3, 2, 3, 3), "s": normal(3, 1, 1)}),
        {"x": normal(1, 2, 5, 4), "t": normal(2)}),
    "attention by hand": lambda: (
        model([node("Transpose", "k", "kt", perm=[0, 2, 1]), node("MatMul", "q kt", "s"),
               node("Softmax", "s", "p", axis=-1), node("MatMul", "p v", "y")],
              {"q": [2, 3, 4], "k": [2, 5, 4], "v": [2, 5, 6]}, ["y"]),
        {"q": normal(2, 3, 4), "k": normal(2, 5, 4), "v": normal(2, 5, 6)}),
    "an equation": lambda: (
        model([node("Einsum", "q k", "y", equation="bqd, bkd -> bqk")],
              {"q": [2, 3, 4], "k": [2, 5, 4]}, ["y"]),
        {"q": normal(2, 3, 4), "k": normal(2, 5, 4)}),
    "a gated unit both ways": lambda: (
        model([node("GRU", "x w r b", "y h", hidden_size=3, direction="bidirectional",
                    linear_before_reset=1)], {"x": [4, 2, 5]}, ["y", "h"],
              {"w": normal(2, 9, 5), "r": normal(2, 9, 3), "b": normal(2, 18)}),
        {"x": normal(4, 2, 5)}),
    "shapes computed by the model": lambda: (
        model([node("Shape", "x", "s"), node("Gather", "s zero", "n"),
               node("Unsqueeze", "n zero1", "n1"), node("Concat", "n1 rest", "t", axis=0),
               node("Reshape", "x t", "y")], {"x": [2, 3, 4]}, ["y"],
              {"zero": np.array(0), "zero1": np.array([0]), "rest": np.array([-1])}),
        {"x": normal(2, 3, 4)}),
    "one index from the end of two axes": lambda: (
        model([node("Gather", "x idx", "a", axis=1), node("Gather", "y idx", "c", axis=1)],
              {"x": [2, 5], "y": [2, 3]}, ["a", "c"], {"idx": np.array([-1, 0, -2])}),
        {"x": normal(2, 5), "y": normal(2, 3)}),
    "one index into two shapes of equal strides": lambda: (
        model([node("GatherND", "x idx", "a"), node("GatherND", "y idx", "c")],
              {"x": [5, 4], "y": [3, 4]}, ["a", "c"], {"idx": np.array([[-1, 0], [1, 2]])}),
        {"x": normal(5, 4), "y": normal(3, 4)}),
    "one index with and without batch axes": lambda: (
        model([node("GatherND", "x idx", "a"), node("GatherND", "y idx", "c", batch_dims=1)],
              {"x": [3], "y": [2, 3]}, ["a", "c"], {"idx": np.array([[0], [2]])}),
        {"x": normal(3), "y": normal(2, 3)}),
    "two outputs, one on the way": lambda: (
        model([node("Relu", "x", "a"), node("Neg", "a", "c"), node("Add", "a c", "d")],
              {"x": [3]}, ["a", "d"]),
        {"x": normal(3)}),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_an_imported_model_computes_what_onnx_says(name: str) -> None:
    proto, given = SAMPLES[name]()
    got, want = both(proto, **given)
    for a, c in zip(got, want, strict=True):
        assert a.shape == c.shape
        np.testing.assert_allclose(a, c, rtol=1e-4, atol=1e-5)


OPERATORS = (
    "argmax", "averagepool", "batch_normalization", "concat", "conv", "convtranspose",
    "dropout", "gather", "gemm", "if_", "loop", "lstm", "matmul", "onehot",
    "pad", "prelu", "reshape", "scan", "slice", "softmax", "split", "squeeze", "topk",
    "transpose", "where",
)  # fmt: skip


def test_node_cases_pass_or_are_listed() -> None:
    """ONNX's own cases of some operators; all of them in the soak."""
    cases = list(onnx_cases.cases(OPERATORS))
    assert len(cases) > 100
    _agrees_with_the_list(cases)


@pytest.mark.soak
def test_all_node_cases_pass_or_are_listed() -> None:
    cases = list(onnx_cases.cases())
    failing = _agrees_with_the_list(cases)
    assert len(failing) <= 0.1 * len(cases)
    assert set(failing) == set(onnx_cases.listed())


def _agrees_with_the_list(cases: list[Any]) -> list[str]:
    listed = onnx_cases.listed()
    outcomes = [onnx_cases.attempt(case) for case in cases]
    failing = [o.name for o in outcomes if o.reason]
    assert [n for n in failing if n not in listed] == []
    return failing


# --- what is told -------------------------------------------------------------------------------


def refused(proto: Any, **wishes: Any) -> OnnxError:
    with pytest.raises(OnnxError) as caught:
        imported(proto, **wishes)
    return caught.value


def test_all_operators_without_a_translation_are_told_at_once() -> None:
    error = refused(model(
        [node("NonZero", "x", "a"), node("Mine", "x", "c", domain="my.ops"), node("Det", "x", "d"),
         node("Relu", "a", "e")], {"x": [2, 2]}, ["e", "c", "d"]))  # fmt: skip
    assert error.code == "onnx-unsupported"
    assert [note.split(" at ")[0] for note in error.notes] == ["NonZero", "my.ops.Mine", "Det"]
    assert "node 1" in error.notes[1] and "`c`" in error.notes[1]


def test_open_sizes_are_asked_for_together() -> None:
    error = refused(model([node("Add", "x z", "y")], {"x": ["N", 3, "H", "W"], "z": [1, None]},
                          ["y"]))  # fmt: skip
    assert error.code == "onnx-shape"
    assert "`x` [N, 3, H, W]" in error.message and "`z` [1, ?]" in error.message


def test_a_shape_of_the_caller_must_fit() -> None:
    proto = model([node("Relu", "x", "y")], {"x": ["N", 3]}, ["y"])
    assert "has the size 3" in refused(proto, shapes={"x": (1, 4)}).message
    assert "2 sizes" in refused(proto, shapes={"x": (1, 3, 1)}).message
    assert "no input `z`" in refused(proto, shapes={"z": (1,)}).message


def test_inputs_that_shape_the_text_are_asked_for() -> None:
    proto = model([node("Cast", "k", "n", to=7), node("Tile", "x n", "y")],
                  {"x": [2, 3], "k": [2]}, ["y"])  # fmt: skip
    error = refused(proto)
    assert (error.code, error.wanted) == ("onnx-value", ("k",))
    written = imported(proto, values={"k": np.array([1, 2])})
    assert written.inputs == {"x": "x"}


# --- what is damaged or means harm --------------------------------------------------------------


def test_bytes_that_are_no_model() -> None:
    for data in (b"", b"junk", b"\x08\x07" * 50, residual(1).SerializeToString()[:-500]):
        with pytest.raises(OnnxError) as caught:
            model_of(data, Path("m.onnx"))
        assert caught.value.code == "onnx-damaged"


def test_a_value_that_nothing_makes() -> None:
    error = refused(model([node("Relu", "ghost", "y")], {"x": [2]}, ["y"]))
    assert (error.code, "`ghost`" in error.message) == ("onnx-damaged", True)


def test_a_tensor_of_other_sizes_than_its_bytes() -> None:
    proto = model([node("Add", "x w", "y")], {"x": [2]}, ["y"], {"w": normal(2)})
    proto.graph.initializer[0].dims[0] = 1 << 40
    assert refused(proto).code == "onnx-damaged"
    proto.graph.initializer[0].dims[0] = -1
    assert refused(proto).code == "onnx-damaged"


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "link.bin", "", "sub", "a\0b"])
def test_tensors_outside_of_the_folder_are_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(8))
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    path = folder / "m.onnx"
    path.write_bytes(external(location).SerializeToString())
    with pytest.raises(OnnxError) as caught:
        model_of(path.read_bytes(), path)
    assert caught.value.code == "onnx-outside"


def external(location: str, length: int = 8) -> Any:
    proto = model([node("Add", "x w", "y")], {"x": [2]}, ["y"], {"w": normal(2)})
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return proto


def test_tensors_beside_the_model_are_read(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(np.array([1, 2], np.float32).tobytes())
    found = model_of(external("w.bin").SerializeToString(), tmp_path / "m.onnx")
    np.testing.assert_array_equal(found.graph.constants["w"], [1, 2])
    with pytest.raises(OnnxError, match="ends before"):
        model_of(external("w.bin", 9).SerializeToString(), tmp_path / "m.onnx")


def test_what_would_fill_the_memory_is_refused() -> None:
    bomb = model([node("ConstantOfShape", "n", "a"), node("Expand", "one n", "c"),
                  node("Tile", "c reps", "d"), node("Add", "x d", "y")], {"x": [1]}, ["y"],
                 {"n": np.array([1 << 20, 1 << 20]), "one": normal(1),
                  "reps": np.array([1 << 20, 1])})  # fmt: skip
    assert refused(bomb).code == "onnx-limit"


@pytest.mark.parametrize(("op", "shapes", "attrs"), [
    ("Gather", [(3, 4096), (1 << 20,)], {"axis": 0}),
    ("Gather", [(1, 4096), (1 << 20,)], {"axis": 0}),
    ("Einsum", [(2048,), (2048,), (2048,)], {"equation": "i,j,k->ijk"}),
    ("Conv", [(1, 1, 1, 1), (1, 1, 1, 1)], {"pads": [1 << 16] * 4}),
    ("HannWindow", [()], {}),
])  # fmt: skip
def test_small_constants_of_a_large_result_are_refused(
    op: str, shapes: list[tuple[int, ...]], attrs: dict[str, Any]
) -> None:
    weights = {f"w{i}": np.zeros(s, np.float32) for i, s in enumerate(shapes)}
    if op == "Gather":
        weights["w1"] = weights["w1"].astype(np.int64)
    if op == "HannWindow":
        weights["w0"] = np.array(1 << 40)
    made = node(op, " ".join(weights), "c", **attrs)
    proto = model([made, node("ReduceMax", "c", "m", keepdims=0), node("Add", "x m", "y")],
                  {"x": [1]}, ["y"], weights)  # fmt: skip
    assert refused(proto).code == "onnx-limit"


def test_a_loop_without_end_is_refused() -> None:
    make = onnx.helper.make_tensor_value_info
    body = onnx.helper.make_graph(
        [node("Identity", "going", "on"), node("Relu", "v", "w")], "body",
        [make("i", 7, []), make("going", 9, []), make("v", F32, [2])],
        [make("on", 9, []), make("w", F32, [2])])
    loop = onnx.helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body)
    assert refused(model([loop], {"x": [2]}, ["y"], {"yes": np.array(True)})).code == "onnx-limit"


def test_a_function_that_calls_itself_is_refused() -> None:
    proto = model([node("F", "x", "y", domain="my")], {"x": [2]}, ["y"])
    proto.opset_import.add(domain="my", version=1)
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("my", 1)]
    again = node("F", "a", "b", domain="my")
    proto.functions.append(onnx.helper.make_function("my", "F", ["a"], ["b"], [again], opsets))
    assert refused(proto).code == "onnx-limit"


def doubling(depth: int) -> Any:
    """Functions of which each calls the next one twice."""
    proto = model([node("F0", "x", "y", domain="my")], {"x": [2]}, ["y"])
    proto.opset_import.add(domain="my", version=1)
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("my", 1)]
    for i in range(depth):
        twice = [node(f"F{i + 1}", "a", "m", domain="my"), node(f"F{i + 1}", "m", "b", domain="my")]
        body = twice if i < depth - 1 else [node("Relu", "a", "b")]
        proto.functions.append(
            onnx.helper.make_function("my", f"F{i}", ["a"], ["b"], body, opsets))
    return proto


def nested(rounds: int) -> Any:
    """A loop in a loop."""
    make = onnx.helper.make_tensor_value_info

    def loop(inner: list[Any], i: str) -> Any:
        body = onnx.helper.make_graph(
            [node("Identity", f"go{i}", f"on{i}"), *inner], "body",
            [make(f"i{i}", 7, []), make(f"go{i}", 9, []), make(f"v{i}", F32, [2])],
            [make(f"on{i}", 9, []), make(f"w{i}", F32, [2])])
        start, end = ("x", "y") if i == "0" else ("v0", "w0")
        return onnx.helper.make_node("Loop", ["n", "", start], [end], body=body)

    whole = loop([loop([node("Relu", "v1", "w1")], "1")], "0")
    return model([whole], {"x": [2]}, ["y"], {"n": np.array(rounds)})


@pytest.mark.parametrize(("small", "large"), [
    (doubling(3), doubling(10)), (nested(3), nested(40)),
])  # fmt: skip
def test_calls_and_loops_that_multiply_are_refused(
    small: Any, large: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowc.onnx.importer.MAX_TRANSLATED", 200)
    assert imported(small).text.count("relu") > 3
    assert refused(large).code == "onnx-limit"


def test_damaged_bytes_never_crash_the_reader() -> None:
    data = bytearray(residual(1).SerializeToString())
    generator = np.random.default_rng(1)
    for _ in range(60):
        broken = bytearray(data)
        for place in generator.integers(0, 400, 4):
            broken[place] = generator.integers(0, 256)
        try:
            found = model_of(bytes(broken), Path("m.onnx"))
            write(translate(found, Wishes()), "m", "")
        except OnnxError:
            pass


def test_without_the_package_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(OnnxError) as caught:
        from flowc.onnx.read import require_onnx

        require_onnx()
    assert (caught.value.code, caught.value.help) == ("onnx-missing", "pip install 'flowc[onnx]'")


# --- the command --------------------------------------------------------------------------------


def test_import_writes_a_text_and_weights_that_predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(residual(3).SerializeToString())
    result = run("import", "net.onnx")
    assert (result.exit_code, result.stdout.split()) == (0, ["net.flow", "net.safetensors"])
    assert run("check", "net.flow").exit_code == 0
    np.save("x.npy", normal(2, 3, 12, 12))
    told = run("predict", "net.flow", "x.npy", "--weights", "net.safetensors")
    assert told.exit_code == 0 and len(told.stdout.splitlines()) == 3


def test_import_replaces_nothing_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(residual(1).SerializeToString())
    Path("net.flow").write_text("mine")
    assert run("import", "net.onnx").exit_code == 73
    assert Path("net.flow").read_text() == "mine"
    assert run("import", "net.onnx", "--force").exit_code == 0


@pytest.mark.parametrize("flags", [
    ("--shape", "x"), ("--shape", "x=0,3"), ("--shape", "x=a"), ("--value", "x=one"),
    ("--value", "=1"),
])  # fmt: skip
def test_flags_that_mean_nothing_are_refused(flags: tuple[str, str]) -> None:
    assert run("import", "net.onnx", *flags).exit_code == 2


def test_a_file_that_is_no_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(b"junk")
    result = run("import", "net.onnx")
    assert result.exit_code == 1 and "onnx-damaged" in result.stderr
    assert not Path("net.flow").exists()
    assert run("import", "none.onnx").exit_code == 66
