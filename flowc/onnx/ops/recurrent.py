"""LSTM, GRU and RNN: a block of the text that scans, called for each direction."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import Node
from flowc.onnx.text import Expr, Index, Infix, call
from flowc.onnx.values import Known, Tensor

ACTIVATIONS = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu", "Softsign": "softsign",
               "Softplus": "softplus"}  # fmt: skip
DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}

# The loops, for both ways of walking; {way} is empty or ` reversed`. ONNX has time outside.
LSTM = """
# A long short-term memory over [time, rows, n] with the gates of ONNX: i, o, f, c.
block {name}(
  x: t[time, rows, n], h: t[rows, m], c: t[rows, m],
  weight: t[n, 4 * m], hidden: t[m, 4 * m], bias: t[4 * m]{extra_parameters}
) {{
  states = scan x over time{way} as xt carry (h = h, c = c) {{
    i, o, f, g = split(xt @ weight + h @ hidden + bias, 4)
{peep}    c = {f}({f_in}) * c + {f}({i_in}) * {g}(g)
    h = {f}({o_in}) * {h}(c)
    yield h, c
  }}
  return states
}}
"""
GRU = """
# A gated recurrent unit over [time, rows, n] with the gates of ONNX: z, r, h.
block {name}(
  x: t[time, rows, n], h: t[rows, m],
  weight: t[n, 3 * m], hidden: t[m, 3 * m], bias: t[3 * m], hidden_bias: t[3 * m]
) {{
  states = scan x over time{way} as xt carry (h = h) {{
    xz, xr, xh = split(xt @ weight + bias, 3)
{gates}
    h = (1 - z) * candidate + z * h
    yield h
  }}
  return states
}}
"""
# The reset gate is applied before the product with the hidden state, or after it.
GRU_AFTER = """    hz, hr, hh = split(h @ hidden + hidden_bias, 3)
    z = {f}(xz + hz)
    candidate = {g}(xh + {f}(xr + hr) * hh)"""
GRU_BEFORE = """    wz, wr, wh = split(hidden, 3)
    bz, br, bh = split(hidden_bias, 3)
    z = {f}(xz + h @ wz + bz)
    candidate = {g}(xh + ({f}(xr + h @ wr + br) * h) @ wh + bh)"""
RNN = """
# A plain recurrent layer over [time, rows, n].
block {name}(
  x: t[time, rows, n], h: t[rows, m], weight: t[n, m], hidden: t[m, m], bias: t[m]
) {{
  states = scan x over time{way} as xt carry (h = h) {{
    h = {f}(xt @ weight + h @ hidden + bias)
    yield h
  }}
  return states
}}
"""


def recurrent(b: Bench, node: Node, inputs: list[Operand]) -> list[Any]:
    x, weight, hidden, bias, lengths, h, c, peephole = [*inputs, *[None] * 8][:8]
    _check(node, x, lengths)
    data = b.tensor(x)
    batch_first = bool(node.attrs.get("layout", 0))
    if batch_first:
        data = b.desk.bind(f"{data.name}_by_time", call("transpose", data.expr, 0, 1))
    ways = {"forward": [""], "reverse": [" reversed"], "bidirectional": ["", " reversed"]}[
        node.attrs.get("direction", "forward")]
    runs = []
    for d, way in enumerate(ways):
        names = _activations(node, d)
        block = _block(b, node, way, names, peephole is not None)
        given = _weights(b, node, d, weight, hidden, bias, peephole)
        starts = [_start(b, node, s, d, data, batch_first) for s in (h, c)]
        runs.append((way, _call(b, node, block, data, given, starts)))
    return _results(b, node, runs, batch_first)


def _check(node: Node, x: Operand, lengths: Operand) -> None:
    if "clip" in node.attrs:
        raise Unsupported("with its cells clipped")
    if node.attrs.get("input_forget", 0):
        raise Unsupported("with coupled gates")
    if lengths is None:
        return
    time = x.shape[1 if node.attrs.get("layout", 0) else 0]
    if not isinstance(lengths, Known) or (lengths.array != time).any():
        raise Unsupported("sequences of several lengths")


def _activations(node: Node, direction: int) -> list[str]:
    count = len(DEFAULTS[node.op])
    given = node.attrs.get("activations") or DEFAULTS[node.op] * 2
    mine = given[direction * count: (direction + 1) * count]
    for name in mine:
        if name not in ACTIVATIONS:
            raise Unsupported(f"the activation {name}")
    return [ACTIVATIONS[name] for name in mine]


def _block(b: Bench, node: Node, way: str, names: list[str], peephole: bool) -> str:
    """The name of the block for this kind, which is written once."""
    usual = names == [ACTIVATIONS[a] for a in DEFAULTS[node.op]]
    after = bool(node.attrs.get("linear_before_reset", 0))
    parts = [f"onnx_{node.op.lower()}", "" if usual else "_".join(names),
             "peephole" if peephole else "", "after" if node.op == "GRU" and after else "",
             "reversed" if way else ""]
    name = "_".join(p for p in parts if p)
    f = names[0]
    if node.op == "LSTM":
        text = LSTM.format(
            name=name, way=way, f=f, g=names[1], h=names[2],
            extra_parameters=", peephole: t[3 * m]" if peephole else "",
            peep="    pi, po, pf = split(peephole, 3)\n" if peephole else "",
            i_in="i + pi * c" if peephole else "i", f_in="f + pf * c" if peephole else "f",
            o_in="o + po * c" if peephole else "o")
    elif node.op == "GRU":
        gates = (GRU_AFTER if after else GRU_BEFORE).format(f=f, g=names[1])
        text = GRU.format(name=name, way=way, gates=gates)
    else:
        text = RNN.format(name=name, way=way, f=f)
    b.desk.use_block(name, text)
    return name


def _weights(
    b: Bench, node: Node, d: int, weight: Operand, hidden: Operand, bias: Operand,
    peephole: Operand,
) -> list[Expr]:
    gates = GATES[node.op]
    m = int(weight.shape[1]) // gates
    size = gates * m
    made: list[Expr] = [_matrix(b, v, d) for v in (weight, hidden)]
    made += _biases(b, node, bias, d, size)
    if peephole is not None:
        made.append(_row(b, peephole, d))
    return made


def _matrix(b: Bench, value: Operand, d: int) -> Expr:
    if isinstance(value, Known):
        return b.constant(value, np.ascontiguousarray(value.array[d].T), f"transposed {d}").expr
    return call("transpose", Index(value.expr, str(d)))


def _row(b: Bench, value: Operand, d: int) -> Expr:
    if isinstance(value, Known):
        return b.constant(value, np.ascontiguousarray(value.array[d]), f"row {d}").expr
    return Index(value.expr, str(d))


def _biases(b: Bench, node: Node, bias: Operand, d: int, size: int) -> list[Expr]:
    """ONNX has two, for the input and the hidden state; only a GRU needs them apart."""
    apart = node.op == "GRU"
    if bias is None:
        zeros = call("fill", [size], 0.0)
        return [zeros, zeros] if apart else [zeros]
    if isinstance(bias, Known):
        first, second = bias.array[d][:size], bias.array[d][size:]
        if apart:
            return [b.constant(bias, first, f"input {d}").expr,
                    b.constant(bias, second, f"hidden {d}").expr]
        return [b.constant(bias, first + second, f"sum {d}").expr]
    first_, second_ = (Index(bias.expr, f"{d}, {part}") for part in (f":{size}", f"{size}:"))
    return [first_, second_] if apart else [Infix("+", first_, second_)]


def _start(
    b: Bench, node: Node, value: Operand, d: int, data: Tensor, batch_first: bool
) -> Expr:
    m = node.attrs["hidden_size"]
    if value is None or isinstance(value, Known) and not value.array.any():
        return call("fill", [data.shape[1], m], 0.0)
    items = f":, {d}" if batch_first else str(d)
    return Index(b.tensor(value).expr, items)


def _call(
    b: Bench, node: Node, block: str, data: Tensor, given: list[Expr], starts: list[Expr]
) -> list[Tensor]:
    wish = b.wish(node)
    if node.op == "LSTM":
        return b.desk.bind_all(
            [wish, f"{wish}_cell"], call(block, data.expr, *starts, *given))
    return [b.desk.bind(wish, call(block, data.expr, starts[0], *given))]


def _results(
    b: Bench, node: Node, runs: list[tuple[str, list[Tensor]]], batch_first: bool
) -> list[Any]:
    """Y [time, directions, rows, m], and the last states [directions, rows, m]."""
    axis = 2 if batch_first else 1
    hidden = [run[0] for _, run in runs]
    made: list[Any] = []
    if node.outputs and node.outputs[0]:
        whole = [call("transpose", h.expr, 0, 1) if batch_first else h.expr for h in hidden]
        value = call("expand", whole[0], axis) if len(whole) == 1 else call("stack", whole, axis)
        made.append(b.bind(node, value))
    else:
        made.append(None)
    for i in range(1, len(node.outputs)):
        if not node.outputs[i]:
            made.append(None)
            continue
        lasts = [_last(run[i - 1], way) for way, run in runs]
        along = 1 if batch_first else 0
        value = call("expand", lasts[0], along) if len(lasts) == 1 else call(
            "stack", lasts, along)
        made.append(b.bind(node, value, i))
    return made


def _last(states: Tensor, way: str) -> Expr:
    if not isinstance(states.shape[0], int):
        raise Unsupported("the last state of a sequence of open length")
    return Index(states.expr, "0" if way else "-1")


TRANSLATIONS: dict[str, Translate] = {"LSTM": recurrent, "GRU": recurrent, "RNN": recurrent}
