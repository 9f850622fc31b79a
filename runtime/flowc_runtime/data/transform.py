"""What can be made of a dataset: a part of it, or another order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from flowc_runtime.data import kinds
from flowc_runtime.data.arguments import Arguments, Parameter, rebind
from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.order import FIXED, permutation


class Selection:
    """Some examples of another dataset, in an order of its own."""

    def __init__(self, base: Dataset, positions: np.ndarray, shuffled: bool):
        self.origin = base.origin
        self.fields = base.fields
        self.shuffled = shuffled
        self._base = base
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def read(self, indices: np.ndarray, out: Sequence[np.ndarray]) -> None:
        self._base.read(self._positions[indices], out)


class Shuffled:
    """The same examples, to be met in another order in each epoch."""

    shuffled = True

    def __init__(self, base: Dataset):
        self.origin = base.origin
        self.fields = base.fields
        self._base = base

    def __len__(self) -> int:
        return len(self._base)

    def read(self, indices: np.ndarray, out: Sequence[np.ndarray]) -> None:
        self._base.read(indices, out)


def take(dataset: Dataset, amount: int | float) -> Dataset:
    """The first `amount` examples, or the first part of them where 0 < amount < 1.

    `take(f)` and `skip(f)` of one dataset share no example and leave none out.
    """
    return _part(dataset, "take", amount, slice(0, _count(dataset, "take", amount)))


def skip(dataset: Dataset, amount: int | float) -> Dataset:
    """All but the first `amount` examples, or all but that part of them where 0 < amount < 1."""
    return _part(dataset, "skip", amount, slice(_count(dataset, "skip", amount), None))


def shuffle(dataset: Dataset, seed: int | None = None) -> Dataset:
    """Asks for another order in each epoch.

    With a `seed` the examples are put into one random order first, always the same, so that
    `take` and `skip` may follow and draw them at random.
    """
    if seed is None:
        return Shuffled(dataset)
    return Selection(dataset, permutation(len(dataset), seed, FIXED), shuffled=True)


def _count(dataset: Dataset, verb: str, amount: int | float) -> int:
    size = len(dataset)
    if isinstance(amount, float):
        if not 0 < amount < 1:
            raise _unfit(dataset, f"`{verb}({amount})` needs a whole number, or a part below 1")
        return int(Fraction(str(amount)) * size)  # 0.29 of 100 is 29, not 28.999…
    if not 1 <= amount <= size:
        raise _unfit(dataset, f"`{verb}({amount})` of {size} examples")
    return amount


def _part(dataset: Dataset, verb: str, amount: int | float, part: slice) -> Dataset:
    if isinstance(dataset, Shuffled):
        raise _unfit(
            dataset,
            f"`{verb}` after `shuffle` would mean other examples in each epoch",
            f"`{verb}({amount}) |> shuffle`, or `shuffle(seed = 1)` to draw them at random, once",
        )
    positions = np.arange(len(dataset))[part]
    if not len(positions):
        message = f"`{verb}({amount})` of {len(dataset)} examples leaves none"
        raise DataError("data-empty", message, dataset.origin)
    return Selection(dataset, positions, dataset.shuffled)


def _unfit(dataset: Dataset, message: str, help: str | None = None) -> DataError:
    return DataError("data-argument", message, dataset.origin, help=help)


@dataclass(frozen=True)
class TransformSpec:
    """A transform: what may follow a source after `|>`."""

    name: str
    doc: str
    parameters: tuple[Parameter, ...]
    apply: Callable[[Dataset, Arguments], Dataset]


def apply_transform(name: str, dataset: Dataset, arguments: Arguments) -> Dataset:
    """What `dataset |> name(arguments)` means; raises DataError."""
    spec = TRANSFORMS[name]
    return spec.apply(dataset, rebind(name, spec.parameters, arguments))


_AMOUNT = Parameter(
    "amount", kinds.AMOUNT, "a number of examples, or a part between 0 and 1", required=True
)
_ALL = (
    TransformSpec(
        "take",
        "The first examples only.",
        (_AMOUNT,),
        lambda dataset, given: take(dataset, given["amount"]),
    ),
    TransformSpec(
        "skip",
        "All but the first examples.",
        (_AMOUNT,),
        lambda dataset, given: skip(dataset, given["amount"]),
    ),
    TransformSpec(
        "shuffle",
        "Another order in each epoch; with a seed, one fixed random order before that, so that "
        "`take` and `skip` may follow.",
        (Parameter("seed", kinds.WHOLE, "of the fixed order"),),
        lambda dataset, given: shuffle(dataset, given["seed"]),
    ),
)
TRANSFORMS: Mapping[str, TransformSpec] = {spec.name: spec for spec in _ALL}
