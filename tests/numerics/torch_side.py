"""A case as PyTorch computes it, in f64."""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics.case import Case

Arrays = dict[str, np.ndarray]


def torch_says(torch: Any, case: Case, values: Arrays, wanted: set[str]) -> Arrays:
    """The same names as `Compiled.run` gives; `wanted` are those of the operands it may read."""
    given = {name: _tensor(torch, value) for name, value in values.items() if name in wanted}
    y = case.torch(torch, **{name.replace(".", "_"): value for name, value in given.items()})
    found = {"y": y.detach().numpy()}
    if y.dtype.is_floating_point:
        weights = torch.cos(torch.arange(y.numel(), dtype=torch.float64)).reshape(y.shape)
        if y.requires_grad:
            (y * weights).sum().backward()
        for name, tensor in given.items():
            if tensor.grad is not None:
                found[f"gradient.{name}"] = tensor.grad.numpy()
    return found


def _tensor(torch: Any, value: np.ndarray) -> Any:
    if value.dtype.kind != "f":
        return torch.from_numpy(value.copy())
    return torch.from_numpy(value.astype(np.float64)).requires_grad_()
