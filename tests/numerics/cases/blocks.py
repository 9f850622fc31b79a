"""Layers of the library."""

from __future__ import annotations

from numerics.case import Case, real

X = {"x": real("f32[3, 4, 6]")}
IMAGE = {"x": real("f32[2, 4, 3, 6]")}

CASES = (
    Case("dense", "dense(x, 5)", X, lambda t, x, y_weight, y_bias: x @ y_weight + y_bias),
    Case("layer_norm", "layer_norm(x)", X, lambda t, x, y_scale, y_shift:
         t.nn.functional.layer_norm(x, (6,), y_scale, y_shift)),
    Case("rms_norm", "rms_norm(x)", X, lambda t, x, y_scale:
         t.nn.functional.rms_norm(x, (6,), y_scale, eps=1e-6)),
    Case("group_norm", "group_norm(x, 3)", IMAGE, lambda t, x, y_scale, y_shift:
         t.nn.functional.group_norm(x.movedim(-1, 1), 3, y_scale, y_shift).movedim(1, -1)),
    Case("group_norm of vectors", "group_norm(x, 2)", {"x": real("f32[4, 6]")},
         lambda t, x, y_scale, y_shift: t.nn.functional.group_norm(x, 2, y_scale, y_shift)),
    Case("instance_norm", "instance_norm(x)", IMAGE,
         lambda t, x, y_group_norm_scale, y_group_norm_shift: t.nn.functional.instance_norm(
             x.movedim(-1, 1), None, None, y_group_norm_scale, y_group_norm_shift
         ).movedim(1, -1)),
    Case("batch_norm while training", "batch_norm(x)", X,
         lambda t, x, y_scale, y_shift, y_mean_seen, y_var_seen: t.nn.functional.batch_norm(
             x.reshape(12, 6), None, None, y_scale, y_shift, training=True).reshape(x.shape)),
    Case("batch_norm when evaluating", "batch_norm(x)", X,
         lambda t, x, y_scale, y_shift, y_mean_seen, y_var_seen: t.nn.functional.batch_norm(
             x.reshape(12, 6), y_mean_seen.detach(), y_var_seen.detach(), y_scale,
             y_shift).reshape(x.shape), training=False),
    Case("dropout when evaluating", "dropout(x, 0.3)", X, lambda t, x: x, training=False),
)
