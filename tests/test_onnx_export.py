"""Models as ONNX: they pass its checker, and its reference computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_cases
import pytest
from command_line import MODELS, run
from onnx_exports import Arrays, computed

from flowc.diagnostic import Sink
from flowc.driver import Checked, check
from flowc.onnx.errors import OnnxError
from flowc.onnx.export.model import export
from flowc.onnx.importer import translate
from flowc.onnx.inputs import Wishes
from flowc.onnx.read import model_of
from flowc.onnx.write import write
from flowc.source import Source
from flowc.syntax.read import read_source

onnx = pytest.importorskip("onnx", reason="needs the package onnx: pip install 'flowc[onnx]'")
def reference(data: bytes, given: Arrays) -> Arrays:
    from onnx.reference import ReferenceEvaluator

    proto = onnx.load_from_string(data)
    onnx.checker.check_model(proto, full_check=True)
    wanted = {i.name: given[i.name] for i in proto.graph.input}
    names = [o.name for o in proto.graph.output]
    return dict(zip(names, ReferenceEvaluator(proto).run(None, wanted), strict=True))


def checked_text(text: str) -> Checked:
    sink = Sink()
    return check(Source("m.flow", text), sink)


def agree(checked: Checked, batch: int) -> None:
    data, given, outputs = computed(checked, batch)
    found = reference(data, given)
    assert found.keys() == outputs.keys()
    for name, value in outputs.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [
    "fashion_mlp", "lenet", "char_lstm", "gpt", "kitchen_sink", "recommender", "spiral",
])  # fmt: skip
def test_a_model_of_the_zoo_computes_the_same(name: str) -> None:
    sink = Sink()
    source = read_source(MODELS / f"{name}.flow", sink)
    assert source is not None
    agree(check(source, sink), 3)


TEXTS = {
    "integers": "input a: i32[batch, 4]\ninput c: i32[batch, 4]\n"
    "output q = (a - 5) // (c + 1)\noutput r = (a - 5) % (c + 1)\noutput e = a != c",
    "exact near zero": "input x: f32[batch, 4]\n"
    "output y = expm1(1e-4 * x) + log1p(1e-4 * x)\noutput z = expm1(2 * x) + log1p(abs(x))",
    "angles": "input x: f32[batch, 4]\ninput y: f32[batch, 4]\noutput a = atan2(y, x)",
    "order": "input x: f32[batch, 6]\noutput s = sort(x)\nv, i = top_k(x, 2)\n"
    "output v2 = v\noutput i2 = i",
    "truth": "input x: f32[batch, 4]\noutput t = any(x > 1, over = -1)\n"
    "output f = all(x < 1, over = -1) or not is_finite(x[:, 0])",
    "slices": "input x: f32[batch, 6, 5]\noutput a = x[:, ::-1, 1:4]\noutput c = x[:, 4:1:-2]",
    "open sizes": "input x: f32[batch, 6]\n"
    "output a = fill([batch, 3], 2.0) + sum(x) / batch\noutput i = iota(batch) + batch",
    "a loop backwards": "input x: f32[batch, time = 5, 3]\nparam w: f32[3, 3] = normal\n"
    "output y = scan x over time reversed as xt carry (h = zeros([batch, 3])) {\n"
    "h = tanh(xt + h @ w)\nyield h\n}",
    "images": "input x: f32[batch, 9, 8, 3]\n"
    "a = x |> conv2d(4, stride = 2) |> relu |> max_pool(2, padding = [[0, 1], [1, 0]])\n"
    "output y = a |> conv2d_transpose(2, stride = 2) |> avg_pool(2, 1)\n"
    "output g = a |> conv2d(4, groups = 2, dilation = 2)",
    "rows": "input i: i32[batch]\nparam t: f32[10, 3] = normal\nr = lookup(t, i)\n"
    "output s = scatter_add(i, r, 12)\noutput p = pick(r, i % 3)",
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_computes_the_same(name: str) -> None:
    agree(checked_text(f"model m {{\n{TEXTS[name]}\n}}\n"), 4)


def test_the_batch_stays_open() -> None:
    checked = checked_text(f"model m {{\n{TEXTS['open sizes']}\n}}\n")
    data, _, _ = computed(checked, 2)
    found = reference(data, {"x": np.ones((7, 6), np.float32)})
    assert (found["a"].shape, found["i"].tolist()) == ((7, 3), list(range(7, 14)))


def test_what_onnx_has_no_words_for_is_told_with_its_line() -> None:
    checked = checked_text(
        "model m {\n  input x: f32[batch, 4]\n  noise = random_normal([batch, 4])\n"
        "  output y = x + noise\n  output q = orthogonalize(x[:, :4] @ transpose(x))\n}\n")
    with pytest.raises(OnnxError) as caught:
        export(checked, {})
    assert caught.value.code == "onnx-export"
    assert len(caught.value.notes) == 2 and "m.flow:3:11: random_normal" in caught.value.notes[0]


@pytest.mark.parametrize(("body", "place"), [
    ("state s: bf16[4] = ones\n  output y = x + cast(s, f32)", "3:3: variable"),
    ("input h: bf16[batch, 4]\n  output y = x + cast(h, f32)", "4:18: cast"),
    ("output y = x + cast(fill([4], 1.0, bf16), f32)", "3:33: const"),
])  # fmt: skip
def test_bf16_is_refused_wherever_it_stands(body: str, place: str) -> None:
    checked = checked_text(f"model m {{\n  input x: f32[batch, 4]\n  {body}\n}}\n")
    with pytest.raises(OnnxError) as caught:
        export(checked, {"s": np.full(4, 0x3F80, np.uint16)})
    assert caught.value.code == "onnx-export"
    assert f"m.flow:{place}" in caught.value.notes[0]
    assert "bf16 is not exported" in caught.value.notes[0]


def test_there_and_back_again() -> None:
    sink = Sink()
    source = read_source(MODELS / "lenet.flow", sink)
    assert source is not None
    data, given, outputs = computed(check(source, sink), 3)
    back = write(translate(model_of(data, Path("m.onnx")), Wishes()), "m", "")
    given = {onnx_name: given[onnx_name] for onnx_name in back.inputs}
    sizes = {n: (3, *v.shape[1:]) for n, v in given.items()}
    fixed = write(translate(model_of(data, Path("m.onnx")), Wishes(sizes)), "m", "")
    found = onnx_cases.run(fixed, given)
    np.testing.assert_allclose(
        found[fixed.outputs["probabilities"]], outputs["probabilities"], rtol=1e-4, atol=1e-5)


def test_the_command_writes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.flow").write_text("model m {\n  input x: f32[batch, 2]\n  output y = dense(x, 3)\n}\n")
    from safetensors.numpy import save_file

    save_file({"y.weight": np.ones((2, 3), np.float32), "y.bias": np.zeros(3, np.float32)},
              "w.safetensors")  # fmt: skip
    result = run("export", "m.flow", "--to", "onnx", "--weights", "w.safetensors")
    assert result.exit_code == 0 and result.stdout.startswith("m.onnx (")
    found = reference(Path("m.onnx").read_bytes(), {"x": np.ones((2, 2), np.float32)})
    np.testing.assert_array_equal(found["y"], np.full((2, 3), 2.0))


@pytest.mark.parametrize("other", [np.ones((2, 4), np.float32), np.ones((2, 3), np.float64)])
def test_weights_of_another_model_are_refused(
    other: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.flow").write_text("model m {\n  input x: f32[batch, 2]\n  output y = dense(x, 3)\n}\n")
    from safetensors.numpy import save_file

    save_file({"y.weight": other, "y.bias": np.zeros(3, np.float32)},
              "w.safetensors")  # fmt: skip
    result = run("export", "m.flow", "--weights", "w.safetensors")
    assert result.exit_code == 1 and "y.weight" in result.stderr
    assert not Path("m.onnx").exists()
    assert run("export", "m.flow").exit_code == 66
