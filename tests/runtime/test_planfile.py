"""The plan's file: it says all of the plan, and whatever is not a plan is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import fused

from flowc.diagnostic import Sink
from flowc.driver import compile
from flowc.graph.builder import Builder
from flowc.graph.graph import Output, Update
from flowc.plan.emit import make_plan
from flowc.syntax.read import read_source
from flowc_runtime.plan import Plan
from flowc_runtime.planfile import PlanError, plan_hash, plan_text, read_plan, write_plan
from flowc_runtime.planfile.write import digest
from flowc_runtime.types import parse_type

MODELS = Path(__file__).parents[2] / "models"

KEPT = parse_type("f32[3, 3]")

Json = Any


@cache
def plan_of(model: str) -> Plan:
    sink = Sink()
    source = read_source(MODELS / f"{model}.flow", sink)
    assert source is not None
    return compile(source, sink)[1]


@cache
def small() -> Plan:
    """A fused kernel, a product, a loss, and an update in place, in this order."""
    b = Builder()
    x = b.input("image", parse_type("f32[4, 3]"))
    w, v = b.variable("w", "param", parse_type("f32[3, 3]")), b.variable("v", "slot", KEPT)
    pixels = fused(b, ("t0 = add(i0, 1.0)", "o0 = exp(t0)"), x, shape=(4, 3))[0]
    y = b("matmul", pixels, w)
    loss = b("reduce_sum", b("add", y, pixels), axes=(0, 1))
    new = fused(b, ("o0 = mul(i0, i1)",), w, b.scalar(0.5, "f32"), shape=(3, 3))[0]
    updates = [Update(w.ref.node, new.ref), Update(v.ref.node, b("neg", v).ref)]
    return make_plan("small", "0" * 64, {"train": b.finish([Output("loss", loss.ref)], updates)})


def small_content() -> dict[str, Json]:
    content: dict[str, Json] = json.loads(write_plan(small()))
    return content


def content_of(model: str) -> dict[str, Json]:
    content: dict[str, Json] = json.loads(write_plan(plan_of(model)))
    return content


def signed(content: dict[str, Json]) -> str:
    """The file's text with the hash that its content has now."""
    rest = {k: v for k, v in content.items() if k != "hash"}
    return json.dumps({**rest, "hash": digest(rest)})


@pytest.mark.parametrize("model", ["fashion_mlp", "char_lstm", "kitchen_sink"])
def test_a_plan_is_read_as_it_was_written(model: str) -> None:
    plan = plan_of(model)
    text = write_plan(plan)
    assert read_plan(text) == plan
    assert write_plan(read_plan(text)) == text


def test_an_instruction_has_a_line_of_its_own() -> None:
    text, plan = write_plan(plan_of("fashion_mlp")), plan_of("fashion_mlp")
    lines = [line for line in text.split("\n") if line.lstrip().startswith('{"op"')]
    assert len(lines) == sum(len(p.instructions) for p in plan.programs.values())


def test_the_file_states_the_hash_of_its_content() -> None:
    plan = plan_of("fashion_mlp")
    assert content_of("fashion_mlp")["hash"] == plan_hash(plan)


# --- refusals -----------------------------------------------------------------------------------


def test_a_newer_version_is_refused_by_its_number() -> None:
    content = {**small_content(), "flowc_plan": 7}
    with pytest.raises(PlanError, match=r"has version 7, and this flowc reads up to version 1"):
        read_plan(signed(content))


def test_an_edited_plan_is_recognised_by_its_hash() -> None:
    text = write_plan(small())
    with pytest.raises(PlanError, match="does not match its hash"):
        read_plan(text.replace('"commit": 4', '"commit": 3'))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", "{}", '{"flowc_plan": true}', '{"flowc_plan": NaN}',
     '{"flowc_plan": 1, "flowc_plan": 1}', "[" * 100_000, '{"a":' * 2_000 + "1" + "}" * 2_000,
     '{"flowc_plan": ' + "9" * 5_000 + "}"],
    ids=lambda text: text[:24],
)  # fmt: skip
def test_a_text_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        read_plan(text)


def put(*path: str | int, value: Json) -> Callable[[dict[str, Json]], None]:
    def change(content: dict[str, Json]) -> None:
        for key in path[:-1]:
            content = content[key]  # type: ignore[index]
        content[path[-1]] = value  # type: ignore[index]

    return change


TRAIN = ("programs", "train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("secret", value=1), "`secret` is unknown"),
        (put(*TRAIN, "commit", value=999), "behind the last instruction"),
        (put(*TRAIN, "commit", value=6), "writes a variable before `commit`"),
        (put(*TRAIN, "arena_bytes", value=64), "does not fit into the 64 bytes"),
        (put(*TRAIN, "arena_bytes", value=1 << 60), "of a possible size"),
        (put(*TRAIN, "buffers", 0, value=["heap", 0, "f32[1]"]), "no space `heap`"),
        (put(*TRAIN, "buffers", 0, value=["arena", -4, "f32[1]"]), "no count"),
        (put(*TRAIN, "buffers", 0, value=["arena", 0, "f32[n]"]), "no type of known size"),
        (put(*TRAIN, "buffers", 0, value=["arena", 0, "f33[1]"]), "no type of known size"),
        (put(*TRAIN, "inputs", 0, value=["image", 900]), "no buffer 900"),
        (put(*TRAIN, "instructions", 1, "in", value=[0, 700]), "no buffer 700"),
        (put(*TRAIN, "instructions", 1, "op", value="system"), "no such op"),
        (put(*TRAIN, "instructions", 1, "op", value="input"), "no such op"),
        (put(*TRAIN, "instructions", 1, "attrs", value={}), "attributes are not those"),
        (put(*TRAIN, "instructions", 1, "in", value=[0]), "has 1 operands"),
        (put(*TRAIN, "instructions", 0, "attrs", "lines", value=["o0 = system(i0)"]),
         "no elementwise op `system`"),
        (put(*TRAIN, "instructions", 0, "scratch", value=[0, 1]), "needs .* bytes of scratch"),
        (put(*TRAIN, "instructions", 0, "scratch", value=[1, 8]), "scratch is not in the arena"),
        (put("variables", 0, "offset", value=64), "meets variable"),
        (put("variables", 0, "kind", value="root"), "kind or its offset"),
        (put("constants", 0, "value", value="text"), "a constant is no"),
        (put("constants", 0, "value", value=[1, 2, 3]), "a constant is no"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)  # fmt: skip
def test_a_broken_promise_is_named(
    change: Callable[[dict[str, Json]], None], message: str
) -> None:
    content = small_content()
    change(content)
    with pytest.raises(PlanError, match=message):
        read_plan(signed(content))


def test_a_buffer_that_others_overwrite_before_it_is_read_is_found() -> None:
    content = small_content()
    train = content["programs"]["train"]
    (pixels,), (product,) = (train["instructions"][k]["out"] for k in (0, 1))
    train["buffers"][product] = train["buffers"][pixels]
    message = rf"instruction 2 \(add\): buffer {pixels} was overwritten before it is read"
    with pytest.raises(PlanError, match=message):
        read_plan(signed(content))


def places(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


ODD = (None, True, -1, 0, 1, 2, 2**31, 2**70, 0.5, "", "x", "f32[]", "f32[1000000]", "neg", [], [0],
       [0, 1], ["arena", 0, "f32[2]"], {}, {"float": "nan"}, {"float": "x"})  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_a_plan_with_anything_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    content = copy.deepcopy(content_of("char_lstm"))
    del content["hash"]
    for path in data.draw(st.lists(st.sampled_from(list(places(content))[1:]), max_size=2)):
        try:
            put(*path, value=data.draw(st.sampled_from(ODD)))(content)
        except (KeyError, IndexError, TypeError):
            continue  # the first change took the place away
    try:
        assert isinstance(read_plan(signed(content)), Plan)
    except PlanError as refusal:
        assert str(refusal)


# --- the text for people ------------------------------------------------------------------------


def test_the_text_tells_memory_variables_and_every_instruction() -> None:
    plan = plan_of("fashion_mlp")
    text = plan_text(plan)
    assert f"holds      {plan.bytes_held:,} bytes" in text
    for variable in plan.variables:
        assert f"{variable.path}: {variable.type} @{variable.offset}" in text
    for instruction in plan.programs["train"].instructions:
        assert f"{instruction.op} " in text and instruction.at in text
        assert all(line in text for line in instruction.attrs.get("lines", ()))
    assert text.count("from here on variables are written") == 1


def test_the_text_shows_the_body_of_a_scan_below_it() -> None:
    text = plan_text(plan_of("char_lstm"))
    assert "scan" in text and "input x0: " in text and "output y0 = " in text
