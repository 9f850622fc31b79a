"""Layers of the library."""

from __future__ import annotations

from numerics.case import Case, real

X = {"x": real("f32[3, 4, 6]")}

CASES = (
    Case("dense", "dense(x, 5)", X, lambda t, x, y_weight, y_bias: x @ y_weight + y_bias),
    Case("layer_norm", "layer_norm(x)", X, lambda t, x, y_scale, y_shift:
         t.nn.functional.layer_norm(x, (6,), y_scale, y_shift)),
    Case("batch_norm while training", "batch_norm(x)", X,
         lambda t, x, y_scale, y_shift, y_mean_seen, y_var_seen: t.nn.functional.batch_norm(
             x.reshape(12, 6), None, None, y_scale, y_shift, training=True).reshape(x.shape)),
    Case("batch_norm when evaluating", "batch_norm(x)", X,
         lambda t, x, y_scale, y_shift, y_mean_seen, y_var_seen: t.nn.functional.batch_norm(
             x.reshape(12, 6), y_mean_seen.detach(), y_var_seen.detach(), y_scale,
             y_shift).reshape(x.shape), training=False),
    Case("dropout when evaluating", "dropout(x, 0.3)", X, lambda t, x: x, training=False),
)
