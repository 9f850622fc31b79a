"""How each operator of ONNX is said in the language: one function an operator, by family.

A family may have three tables. `IN_ANY_FORM` takes operands as they are, known or not;
`IN_ANY_ORDER` takes tensors whatever the order of their axes in the text; `TRANSLATIONS` takes
them in ONNX's order. Operands that are all known never come to the last two.
"""

from flowc.onnx.bench import Translate
from flowc.onnx.ops import (
    control,
    elementwise,
    images,
    indices,
    linear,
    norms,
    randomness,
    recurrent,
    reductions,
    sampling,
    scattering,
    shapes,
    signals,
)

IN_ANY_FORM: dict[str, Translate] = {
    **elementwise.IN_ANY_FORM, **shapes.IN_ANY_FORM, **control.IN_ANY_FORM,
    **randomness.IN_ANY_FORM,
}  # fmt: skip
IN_ANY_ORDER: dict[str, Translate] = {
    **elementwise.IN_ANY_ORDER, **reductions.IN_ANY_ORDER, **shapes.IN_ANY_ORDER,
    **images.IN_ANY_ORDER, **norms.IN_ANY_ORDER,
}  # fmt: skip
TRANSLATIONS: dict[str, Translate] = {
    **shapes.TRANSLATIONS, **indices.TRANSLATIONS, **linear.TRANSLATIONS, **norms.TRANSLATIONS,
    **recurrent.TRANSLATIONS, **scattering.TRANSLATIONS, **signals.TRANSLATIONS,
    **sampling.TRANSLATIONS,
}  # fmt: skip
