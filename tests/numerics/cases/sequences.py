"""Recurrent layers and attention over sequences [batch, time, width]."""

from __future__ import annotations

from typing import Any

from numerics.case import Case, real

X = {"x": real("f32[2, 5, 4]")}


def lstm(t: Any, x: Any, w: Any, u: Any, b: Any) -> Any:
    """torch.nn.LSTM from these weights; flowc adds 1 to what the forget gate sees."""
    width = u.shape[0]
    rise = t.zeros(4 * width, dtype=x.dtype)
    rise[width:2 * width] = 1
    return _rnn(t, t.nn.LSTM, x, w, u, b + rise, t.zeros_like(b))


def _rnn(t: Any, kind: Any, x: Any, w: Any, u: Any, b_input: Any, b_hidden: Any) -> Any:
    module = kind(w.shape[0], u.shape[0], batch_first=True, dtype=x.dtype)
    weights = {"weight_ih_l0": w.T, "weight_hh_l0": u.T, "bias_ih_l0": b_input,
               "bias_hh_l0": b_hidden}
    return t.func.functional_call(module, weights, (x,))[0]


def gru(t: Any, x: Any, w: Any, u: Any, b: Any) -> Any:
    """torch.nn.GRU from these weights; its gates are r, z, n where flowc's are z, r, n."""
    order = t.arange(b.shape[0]).reshape(3, -1)[[1, 0, 2]].reshape(-1)
    return _rnn(t, t.nn.GRU, x, w[:, order], u[:, order], b[order], t.zeros_like(b))


def attention(t: Any, x: Any, qkv: Any, out: Any, bias: Any, heads: int, causal: bool) -> Any:
    batch, time, d = x.shape
    q, k, v = (part.reshape(batch, time, heads, d // heads).transpose(1, 2)
               for part in (x @ qkv).chunk(3, -1))
    mixed = t.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
    return mixed.transpose(1, 2).reshape(batch, time, d) @ out + bias


CASES = (
    Case("lstm", "lstm(x, 3)", X, lambda t, x, **p: lstm(t, x, *p.values())),
    Case("gru", "gru(x, 3)", X, lambda t, x, **p: gru(t, x, *p.values())),
    Case("attention", "attention(x, 2)", X,
         lambda t, x, **p: attention(t, x, *p.values(), 2, True)),
    Case("attention that sees all", "attention(x, 2, causal = false)", X,
         lambda t, x, **p: attention(t, x, *p.values(), 2, False)),
)
