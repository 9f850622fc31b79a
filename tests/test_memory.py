"""The arena: no two live tensors share bytes, and it is not larger than it must be."""

from __future__ import annotations

import pytest
from graphs import SIZES, graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import fused, program_of, variables

from flowc.graph.bind import bind_sizes
from flowc.graph.builder import Builder
from flowc.graph.graph import Graph, Output, Update
from flowc.graph.scan import emit_scan
from flowc.passes import optimise
from flowc.plan.emit import make_layout
from flowc.plan.memory import Block, MemoryClash, lower_bound, pack, verify
from flowc.plan.order import linear_order, peak_bytes
from flowc.plan.planned import Planned, plan_graph
from flowc_runtime.plan import ALIGNMENT_BYTES
from flowc_runtime.types import parse_type

KILO = parse_type("f32[256]")  # 1024 bytes

block_lists = st.lists(
    st.builds(
        lambda bytes, start, length: Block(bytes, start, start + length),
        st.sampled_from([0, 1, 64, 100, 4096]), st.integers(-1, 20), st.integers(0, 9),
    ),
    min_size=1,
    max_size=40,
)  # fmt: skip


@settings(deadline=None)
@given(block_lists)
def test_blocks_that_live_together_lie_apart(blocks: list[Block]) -> None:
    offsets, total = pack(blocks)
    for k, (a, at) in enumerate(zip(blocks, offsets, strict=True)):
        assert at % ALIGNMENT_BYTES == 0 and at + a.bytes <= total
        for b, other in zip(blocks[:k], offsets, strict=False):
            together = a.start <= b.end and b.start <= a.end and a.bytes and b.bytes
            assert not together or at + a.bytes <= other or other + b.bytes <= at


@settings(deadline=None)
@given(block_lists)
def test_no_layout_is_below_the_bound(blocks: list[Block]) -> None:
    assert pack(blocks)[1] >= lower_bound(blocks)


def test_blocks_that_follow_each_other_share_their_bytes() -> None:
    blocks = [Block(1000, k, k) for k in range(5)]
    assert pack(blocks) == ([0] * 5, 1024)


@pytest.mark.parametrize(
    ("offsets", "total"),
    [
        pytest.param([0, 0], 200, id="the same bytes"),
        pytest.param([0, 64], 200, id="overlapping bytes"),
        pytest.param([0, 128], 200, id="behind the end of the arena"),
        pytest.param([0, 100], 200, id="off a cache line"),
    ],
)
def test_a_bad_layout_is_recognised(offsets: list[int], total: int) -> None:
    blocks = [Block(100, 0, 3), Block(100, 2, 5)]
    with pytest.raises(MemoryClash):
        verify(blocks, offsets, total)


@settings(max_examples=60, deadline=None)
@given(graphs(max_steps=20))
def test_the_arena_of_a_graph_holds_all_its_buffers(graph: Graph) -> None:
    """Making the program also follows each value through the arena (see planfile/flow.py)."""
    program = program_of(optimise(bind_sizes(graph, SIZES)))
    ends = [b.end for b in program.buffers if b.space == "arena" and b.type.bytes]
    assert max(ends, default=0) <= program.arena_bytes


# --- reuse --------------------------------------------------------------------------------------


def test_a_chain_of_elementwise_ops_works_in_one_place() -> None:
    b = Builder()
    x = b("broadcast", b.scalar(0.5, "f32"), shape=KILO.shape)
    for op in ("exp", "tanh", "neg", "sin"):
        x = b(op, x)
    assert program_of(b.finish([Output("y", x.ref)])).arena_bytes == 1024


def test_a_kernel_writes_over_an_operand_whose_last_reader_it_is() -> None:
    b = Builder()
    x = b("broadcast", b.scalar(0.5, "f32"), shape=KILO.shape)
    y = fused(b, ("o0 = exp(i0)",), b("neg", x), shape=(256,))[0]
    program = program_of(b.finish([Output("y", y.ref)]))
    assert len({b.offset for b in program.buffers if b.space == "arena"}) == 1


def test_a_kernel_that_reads_an_operand_after_its_result_writes_elsewhere() -> None:
    b = Builder()
    x = b("broadcast", b.scalar(0.5, "f32"), shape=KILO.shape)
    lines = ("o0 = exp(i0)", "o1 = add(o0, i0)")
    first, second = fused(b, lines, x, shape=(256,))
    program = program_of(b.finish([Output("y", first.ref), Output("z", second.ref)]))
    operand, results = program.instructions[1].operands[0], program.instructions[1].results
    assert program.buffers[results[0]].offset != program.buffers[operand].offset
    assert program.buffers[results[1]].offset == program.buffers[operand].offset


def test_inputs_keep_their_bytes_to_the_end() -> None:
    b = Builder()
    x = b.input("x", KILO)
    y = b("tanh", b("exp", x))
    assert program_of(b.finish([Output("y", y.ref)])).arena_bytes == 2048


def test_outputs_keep_their_bytes_to_the_end() -> None:
    b = Builder()
    x = b("broadcast", b.scalar(0.5, "f32"), shape=KILO.shape)
    outputs = []
    for k in range(3):
        x = b("exp", x)
        outputs.append(Output(f"y{k}", x.ref))
    assert program_of(b.finish(outputs)).arena_bytes == 3 * 1024


def test_an_update_in_place_needs_no_memory_of_its_own() -> None:
    b = Builder()
    (w,) = variables(b, "f32[256]", "w")
    assert program_of(b.finish([], [Update(w.ref.node, b("exp", w).ref)])).arena_bytes == 0


def test_what_a_scan_works_on_is_its_scratch() -> None:
    b, body = Builder(), Builder()
    x, c = body.input("x0", KILO), body.input("c0", KILO)
    both = body("add", body("cumsum", x, axis=0, reverse=False), c)
    outputs = [Output("c0", body("tanh", both).ref)]
    xs = b.input("x", parse_type("f32[9, 256]"))
    start = b.input("start", KILO)
    (last,) = emit_scan(
        b, [xs], [start], [], body.finish(outputs), axes=(0,), yield_axes=(), length=9
    )
    program = program_of(b.finish([Output("y", last.ref)]))
    (scan,) = program.instructions
    assert scan.body is not None
    assert scan.scratch_bytes == scan.body.arena_bytes == 2 * 1024  # the element, and its sums
    carry = scan.body.buffers[scan.body.inputs[1].buffer]
    assert carry == program.buffers[scan.results[0]]


# --- order --------------------------------------------------------------------------------------


def planned_of(graph: Graph) -> Planned:
    return plan_graph(graph, make_layout([graph]).homes)


def wide_then_narrow(branches: int) -> Graph:
    """Large values first, all of them, in the order of the text; each shrinks when it is used."""
    b = Builder()
    x = b.input("x", parse_type("f32[]"))
    large = [b("broadcast", x, shape=KILO.shape) for _ in range(branches)]
    small = [b("reduce_sum", value, axes=(0,)) for value in large]
    total = small[0]
    for value in small[1:]:
        total = b("add", total, value)
    return b.finish([Output("y", total.ref)])


def test_the_order_keeps_few_large_values_at_once() -> None:
    planned = planned_of(wide_then_narrow(10))
    listed = range(len(planned.draft.steps))
    assert peak_bytes(planned.draft, planned.order) < 2 * 1024 + 256
    assert peak_bytes(planned.draft, listed) > 10 * 1024


@settings(max_examples=60, deadline=None)
@given(graphs(max_steps=20))
def test_every_step_comes_after_what_it_waits_for(graph: Graph) -> None:
    draft = planned_of(optimise(bind_sizes(graph, SIZES))).draft
    order = linear_order(draft, last=())
    assert sorted(order) == list(range(len(draft.steps)))
    position = {step: k for k, step in enumerate(order)}
    for step, befores in enumerate(draft.waits()):
        assert all(position[before] < position[step] for before in befores)
