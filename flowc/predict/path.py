"""The critical path: from a step's end back along what each thing had to wait for."""

from __future__ import annotations

from collections import defaultdict

from flowc.predict.prediction import Stretch
from flowc.predict.simulate import Done, History

TINY = 1e-9  # seconds: what is shorter is left out


def critical_path(
    history: History, last: str, settling: int, steady: int, rounds: int
) -> tuple[Stretch, ...]:
    """What the last steps were made of, as one of them; in the order in which they first come.

    `last` is the actor that ended last. Stretches of the same task and kind in a row are one.
    """
    begin = history.ends[last][settling - 1]
    backwards = list(_back(history, last, history.ends[last][-1], begin))
    return _mean(list(reversed(backwards)), steady * rounds)


def _back(history: History, name: str, now: float, begin: float) -> list[Stretch]:
    """Stretches from `now` back to `begin`."""
    places = {actor: len(done) - 1 for actor, done in history.done.items()}
    found: list[Stretch] = []
    while now > begin + TINY:
        place = _place(history.done[name], places[name], now)
        if place < 0:
            break
        places[name] = place - 1
        done = history.done[name][place]
        if done.is_work:
            start = max(done.begun, begin)
            found.append(Stretch(name, done.what, now - start))
            now = start
        elif done.cause is not None:
            giver, given = done.cause
            over = f" over {done.link[0]}-{done.link[1]}" if done.link else ""
            start = max(given, begin)
            found.append(Stretch(name, f"{_kind(done.what)}{over}", now - start))
            name, now = giver, start
        else:
            now = min(now, max(done.begun, begin))
    return [s for s in found if s.seconds > TINY]


def _place(done: list[Done], place: int, now: float) -> int:
    """The last event that was over by then."""
    while place >= 0 and done[place].ended > now + TINY:
        place -= 1
    return place


def _kind(what: str) -> str:
    """`gradients.worker-ps:0.3 from worker:1` without the number of its bucket."""
    channel, separator, producer = what.partition(" from ")
    return f"waiting for {channel.partition('.')[0]}{separator}{producer}"


def _mean(stretches: list[Stretch], count: int) -> tuple[Stretch, ...]:
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for stretch in stretches:
        seconds[stretch.task, stretch.what] += stretch.seconds
    return tuple(
        Stretch(task, what, total / count) for (task, what), total in seconds.items()
        if total / count > TINY
    )
