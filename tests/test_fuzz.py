"""Whatever the text, checking it ends soon, in a checked model or in coded, located messages.

`pytest tests/test_fuzz.py --fuzz N` tries N texts; a failure names its seed and shows the text.
"""

from __future__ import annotations

import random
import time
from functools import cache
from pathlib import Path

import pytest
from mutate import Grower, mutated

from flowc.diagnostic import Diagnostic, Sink, Stop
from flowc.driver import Options, check, check_learning
from flowc.explain import explanations
from flowc.source import Source

ROOT = Path(__file__).parent.parent
SHARDS = 20
GROWN_EVERY = 3  # every third text is grown from nothing, the others are mutations
PATIENCE_SECONDS = 2.0  # of processor time; most texts take milliseconds, limits end the others


@cache
def corpus() -> tuple[str, ...]:
    files = [*(ROOT / "models").glob("*.flow"), *(ROOT / "tests" / "errors").glob("*.flow")]
    return tuple(path.read_text(errors="replace") for path in sorted(files))


def text_of(seed: int) -> str:
    rng = random.Random(f"flowc:{seed}")
    if seed % GROWN_EVERY == 0:
        return Grower(rng).text()
    return mutated(rng, rng.choice(corpus()), corpus())


def messages(text: str) -> list[Diagnostic]:
    sink = Sink()
    try:
        source = Source("fuzz.flow", text, ROOT / "models")
        check_learning(check(source, sink, Options()), sink)
    except Stop:
        assert sink.errors
    return sink.diagnostics


@pytest.mark.parametrize("shard", range(SHARDS))
def test_any_text_ends_in_a_model_or_in_messages(
    shard: int, request: pytest.FixtureRequest
) -> None:
    known = set(explanations())
    for seed in range(shard, request.config.getoption("--fuzz"), SHARDS):
        text = text_of(seed)
        started = time.process_time()
        try:
            found = messages(text)
            assert time.process_time() - started < PATIENCE_SECONDS
            for message in found:
                assert message.code in known
                assert message.label is not None
                assert not message.label.span.source.name.startswith("std/")
        except Exception as failure:
            raise AssertionError(f"seed {seed}:\n{text}") from failure
