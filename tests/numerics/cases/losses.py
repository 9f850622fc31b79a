"""Losses: one number for each example."""

from __future__ import annotations

from numerics.case import Case, real, whole

PAIR = {"x": real("f32[4, 5]"), "target": real("f32[4, 5]")}

CASES = (
    Case("cross_entropy", "cross_entropy(x, label)",
         {"x": real("f32[4, 5]"), "label": whole("i32[4]", 0, 4)},
         lambda t, x, label: t.nn.functional.cross_entropy(x, label.long(), reduction="none")),
    Case("mse", "mse(x, target)", PAIR,
         lambda t, x, target: t.nn.functional.mse_loss(x, target, reduction="none")),
    Case("binary_cross_entropy", "binary_cross_entropy(x, target)",
         {"x": real("f32[4, 5]", -30, 30), "target": real("f32[4, 5]", 0, 1)},
         lambda t, x, target: t.nn.functional.binary_cross_entropy_with_logits(
             x, target, reduction="none")),
    Case("huber", "huber(x, target, delta = 0.7)", PAIR,
         lambda t, x, target: t.nn.functional.huber_loss(x, target, reduction="none", delta=0.7)),
)
