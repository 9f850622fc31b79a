"""Losses: one number for each example."""

from __future__ import annotations

from typing import Any

from numerics.case import Case, one_of, real, whole

PAIR = {"x": real("f32[4, 5]"), "target": real("f32[4, 5]")}
LABELS = {"x": real("f32[4, 5]"), "label": whole("i32[4]", 0, 4)}
TARGET = {"x": real("f32[4, 5]", -8, 8), "target": real("f32[4, 5]", 0, 1)}
AT_0 = {"x": one_of("f32[7]", 0.0), "target": one_of("f32[7]", 0.0, 1.0)}
VECTORS = {"a": real("f32[4, 5]"), "b": real("f32[4, 5]")}


def focal(t: Any, x: Any, target: Any) -> Any:
    """As torchvision's sigmoid_focal_loss has it."""
    p = t.sigmoid(x)
    weight = 0.3 * target + 0.7 * (1 - target)
    wrong = p * (1 - target) + (1 - p) * target
    entropy = t.nn.functional.binary_cross_entropy_with_logits(x, target, reduction="none")
    return weight * wrong**1.5 * entropy


def ctc(t: Any, x: Any, labels: Any, times: Any, lengths: Any) -> Any:
    log_probabilities = x.log_softmax(-1).transpose(0, 1)
    return t.nn.functional.ctc_loss(
        log_probabilities, labels.long(), times.long(), lengths.long(), reduction="none")


def info_nce(t: Any, a: Any, b: Any) -> Any:
    a, b = t.nn.functional.normalize(a), t.nn.functional.normalize(b)
    scores, own = a @ b.T / 0.2, t.arange(len(a))
    both = (t.nn.functional.cross_entropy(s, own, reduction="none") for s in (scores, scores.T))
    return 0.5 * sum(both)


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
    Case("binary_cross_entropy at 0", "binary_cross_entropy(x, target)", AT_0,
         lambda t, x, target: t.nn.functional.binary_cross_entropy_with_logits(
             x, target, reduction="none")),
    Case("huber", "huber(x, target, delta = 0.7)", PAIR,
         lambda t, x, target: t.nn.functional.huber_loss(x, target, reduction="none", delta=0.7)),
    Case("cross_entropy with smoothing", "cross_entropy(x, label, smoothing = 0.1)", LABELS,
         lambda t, x, label: t.nn.functional.cross_entropy(
             x, label.long(), reduction="none", label_smoothing=0.1)),
    Case("soft_cross_entropy", "soft_cross_entropy(x, target)", TARGET,
         lambda t, x, target: -(target * x.log_softmax(-1)).sum(-1)),
    Case("focal", "focal(x, target, gamma = 1.5, alpha = 0.3)", TARGET, focal),
    Case("focal at 0", "focal(x, target, gamma = 1.5, alpha = 0.3)", AT_0, focal),
    Case("nll", "nll(log_softmax(x), label)", LABELS, lambda t, x, label: (
        t.nn.functional.nll_loss(x.log_softmax(-1), label.long(), reduction="none"))),
    Case("hinge", "hinge(x, target)",
         {"x": real("f32[4, 5]"), "target": one_of("f32[4, 5]", -1.0, 1.0)},
         lambda t, x, target: (1 - target * x).clamp(min=0)),
    Case("mae", "mae(x, target)", PAIR, lambda t, x, target: (x - target).abs()),
    Case("kl_divergence", "kl_divergence(log_softmax(a), log_softmax(b))", VECTORS,
         lambda t, a, b: t.nn.functional.kl_div(
             b.log_softmax(-1), a.log_softmax(-1), reduction="none", log_target=True).sum(-1)),
    Case("kl_to_standard_normal", "kl_to_standard_normal(a, b)", VECTORS,
         lambda t, a, b: t.distributions.kl_divergence(
             t.distributions.Normal(a, (b / 2).exp()),
             t.distributions.Normal(t.zeros_like(a), t.ones_like(a))).sum(-1)),
    Case("distance", "distance(a, b)", VECTORS, lambda t, a, b: (a - b).norm(dim=-1)),
    Case("distance of equals", "distance(a, a)", {"a": real("f32[4, 5]")},
         lambda t, a: 0 * a.sum(-1)),
    Case("distance of equals in half precision", "distance(a, a)", {"a": real("f16[4, 5]")},
         lambda t, a: 0 * a.sum(-1)),
    Case("cosine_similarity", "cosine_similarity(a, b)", VECTORS,
         lambda t, a, b: t.nn.functional.cosine_similarity(a, b)),
    Case("contrastive", "contrastive(a, b, same, margin = 3.0)",
         {**VECTORS, "same": one_of("f32[4]", 0.0, 1.0)},
         lambda t, a, b, same: same * (a - b).norm(dim=-1) ** 2
         + (1 - same) * (3 - (a - b).norm(dim=-1)).clamp(min=0) ** 2),
    Case("triplet", "triplet(a, b, c)", {**VECTORS, "c": real("f32[4, 5]")},
         lambda t, a, b, c: t.nn.functional.triplet_margin_loss(a, b, c, reduction="none")),
    Case("info_nce", "info_nce(a, b, temperature = 0.2)", VECTORS, info_nce),
    Case("ctc", "ctc(x, labels, times, lengths)",
         {"x": real("f32[5, 9, 4]"), "labels": whole("i32[5, 3]", 1, 3),
          "times": whole("i32[5]", 7, 9), "lengths": whole("i32[5]", 0, 3)}, ctc),
)
