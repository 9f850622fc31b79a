"""The catalogue of transforms: what may follow a source after `|>`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flowc_runtime.data import edits, kinds
from flowc_runtime.data.arguments import Arguments, Parameter, rebind
from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.edited import edited
from flowc_runtime.data.edits import Edit
from flowc_runtime.data.selection import shuffle, skip, take

Apply = Callable[[Dataset, Arguments, int], Dataset]


@dataclass(frozen=True)
class TransformSpec:
    """A transform; `apply` is also told its place in the pipeline, from 0."""

    name: str
    doc: str
    parameters: tuple[Parameter, ...]
    apply: Apply


def apply_transform(name: str, dataset: Dataset, arguments: Arguments, place: int = 0) -> Dataset:
    """What `dataset |> name(arguments)` means; raises DataError.

    `place` counts the transforms before: with it, each of them draws random numbers of its own.
    """
    spec = TRANSFORMS[name]
    return spec.apply(dataset, rebind(name, spec.parameters, arguments), place)


def _editing(
    name: str, doc: str, parameters: tuple[Parameter, ...], make: Callable[[Arguments], Edit]
) -> TransformSpec:
    """A transform of pictures."""
    return TransformSpec(
        name, doc, parameters,
        lambda dataset, given, place: edited(dataset, name, make(given), place),
    )  # fmt: skip


def _strength(name: str, doc: str) -> Parameter:
    return Parameter(name, kinds.SHARE, doc, 0.0)


_AMOUNT = Parameter(
    "amount", kinds.AMOUNT, "a number of examples, or a part between 0 and 1", required=True
)
_SIZE = Parameter("size", kinds.SIDES, "[height, width], or one number for both", required=True)
_ALL = (
    TransformSpec(
        "take",
        "The first examples only.",
        (_AMOUNT,),
        lambda dataset, given, _: take(dataset, given["amount"]),
    ),
    TransformSpec(
        "skip",
        "All but the first examples.",
        (_AMOUNT,),
        lambda dataset, given, _: skip(dataset, given["amount"]),
    ),
    TransformSpec(
        "shuffle",
        "Another order in each epoch; with a seed, one fixed random order before that, so that "
        "`take` and `skip` may follow.",
        (Parameter("seed", kinds.WHOLE, "of the fixed order"),),
        lambda dataset, given, _: shuffle(dataset, given["seed"]),
    ),
    _editing(
        "resize",
        "Pictures scaled, bilinear (needs Pillow).",
        (
            Parameter(
                "size",
                kinds.SIDES,
                "[height, width], or the length of the shorter side, whose proportion to the "
                "other is kept",
                required=True,
            ),
        ),
        lambda given: edits.resize(given["size"]),
    ),
    _editing(
        "center_crop",
        "The middle of pictures.",
        (_SIZE,),
        lambda given: edits.center_crop(given["size"]),
    ),
    _editing(
        "random_crop",
        "A part of pictures, another one in each epoch.",
        (_SIZE, Parameter("pad", kinds.PIXELS, "black pixels put round the picture before", 0)),
        lambda given: edits.random_crop(given["size"], given["pad"]),
    ),
    _editing(
        "random_resized_crop",
        "A part of random area and proportions, scaled to one size (needs Pillow).",
        (
            _SIZE,
            Parameter("scale", kinds.SHARES, "bounds of its share of the area", (0.08, 1.0)),
            Parameter("ratio", kinds.RATIOS, "bounds of width / height", (0.75, 4 / 3)),
        ),
        lambda given: edits.random_resized_crop(given["size"], given["scale"], given["ratio"]),
    ),
    _editing(
        "random_flip",
        "Left and right changed in some of the pictures.",
        (
            Parameter("chance", kinds.SHARE, "of being changed", 0.5),
            Parameter("vertical", kinds.TRUTH, "top and bottom instead", False),
        ),
        lambda given: edits.random_flip(given["chance"], given["vertical"]),
    ),
    _editing(
        "color_jitter",
        "Colours as under other light. A strength x means a factor between 1 - x and 1 + x.",
        (
            _strength("brightness", "strength"),
            _strength("contrast", "strength, around the mean grey"),
            _strength("saturation", "strength, away from grey"),
            _strength("hue", "the most it is turned, in whole turns (needs Pillow)"),
        ),
        lambda given: edits.color_jitter(
            given["brightness"], given["contrast"], given["saturation"], given["hue"]),
    ),
)
TRANSFORMS: Mapping[str, TransformSpec] = {spec.name: spec for spec in _ALL}
