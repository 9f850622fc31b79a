"""Recurrent layers and attention over sequences [batch, time, width]."""

from __future__ import annotations

from typing import Any

from numerics.case import Case, one_of, real

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


def bidirectional(t: Any, layer: Any, x: Any, *weights: Any) -> Any:
    half = len(weights) // 2
    back = layer(t, x.flip(1), *weights[half:]).flip(1)
    return t.cat([layer(t, x, *weights[:half]), back], -1)


def cross_attention(t: Any, x: Any, memory: Any, q: Any, kv: Any, out: Any, bias: Any) -> Any:
    """In two heads."""
    def heads(tensor: Any) -> Any:
        return tensor.reshape(*tensor.shape[:2], 2, -1).transpose(1, 2)

    k, v = (memory @ kv).chunk(2, -1)
    mixed = t.nn.functional.scaled_dot_product_attention(heads(x @ q), heads(k), heads(v))
    return mixed.transpose(1, 2).reshape(x.shape) @ out + bias


CASES = (
    Case("lstm", "lstm(x, 3)", X, lambda t, x, **p: lstm(t, x, *p.values())),
    Case("gru", "gru(x, 3)", X, lambda t, x, **p: gru(t, x, *p.values())),
    Case("attention", "attention(x, 2)", X,
         lambda t, x, **p: attention(t, x, *p.values(), 2, True)),
    Case("attention that sees all", "attention(x, 2, causal = false)", X,
         lambda t, x, **p: attention(t, x, *p.values(), 2, False)),
    Case("cross_attention", "cross_attention(x, memory, 2)",
         {**X, "memory": real("f32[2, 3, 6]")},
         lambda t, x, memory, **p: cross_attention(t, x, memory, *p.values())),
    Case("dot_attention in half precision",
         "stop_gradient(dot_attention(q, q, v, causal = true))",
         {"q": one_of("f16[2, 2, 4]", 0.0), "v": one_of("f16[2, 2, 3]", 1.0, 6.0)},
         lambda t, q, v: t.nn.functional.scaled_dot_product_attention(
             q, q, v, is_causal=True).detach()),
    Case("dot_attention", "dot_attention(q, k, v, causal = true)",
         {"q": real("f32[2, 5, 4]"), "k": real("f32[2, 5, 4]"), "v": real("f32[2, 5, 3]")},
         lambda t, q, k, v: t.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)),
    Case("bidirectional lstm", "bidirectional(x, 3)", X,
         lambda t, x, **p: bidirectional(t, lstm, x, *p.values())),
    Case("bidirectional gru", "bidirectional(x, 3, gru)", X,
         lambda t, x, **p: bidirectional(t, gru, x, *p.values())),
)
