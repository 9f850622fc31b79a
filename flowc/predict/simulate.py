"""Simulated execution: tasks that share cores, payloads that share links, on virtual time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from flowc.predict.cores import EPSILON, Cores
from flowc.predict.events import Event, Give, Open, Release, Take, Work
from flowc.predict.prediction import LinkLike
from flowc_runtime.cluster.exchange import SLOTS
from flowc_runtime.cluster.transport.waiting import YIELDING_SECONDS

WAKING_SECONDS = 25e-6  # of a task that sleeps, by another that gives what it waits for
WIRE_CPU_SECONDS_PER_BYTE = 0.5e-9  # of a core at each end, for what goes over a network

Key = tuple[str, str, int]  # channel, producer, number
Links = Mapping[tuple[str, str], LinkLike]


@dataclass(frozen=True)
class Actor:
    """A task: its events of a step, again and again."""

    name: str
    host: str
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Done:
    """An event that is over. `cause` is what it had waited for: an actor's giving, at a time."""

    begun: float
    ended: float
    what: str
    cause: tuple[str, float] | None = None  # who gave what was waited for, and when
    link: tuple[str, str] | None = None  # of hosts, where it came over one
    is_work: bool = False


@dataclass
class History:
    """All that happened, by actor; `ends` are the times at which its steps ended."""

    done: dict[str, list[Done]] = field(default_factory=dict)
    ends: dict[str, list[float]] = field(default_factory=dict)
    bytes: dict[tuple[str, str], int] = field(default_factory=dict)  # by hosts, of all steps


@dataclass
class _State:
    """Where an actor is."""

    actor: Actor
    step: int = 0
    place: int = 0
    left: float = 1.0  # of the work at hand, as a share
    since: float = 0.0
    waking_until: float | None = None
    slept: bool = False  # before the work at hand: then it need not wait for a turn

    @property
    def event(self) -> Event:
        return self.actor.events[self.place]


@dataclass(frozen=True, slots=True)
class _Sent:
    """A payload: when it was given, and when it is there for each host."""

    given: float
    by: str
    there: Mapping[str, float]


class Simulation:
    """Runs actors for some steps. `cores` are those of each host, which nobody has yet."""

    def __init__(
        self, actors: Sequence[Actor], consumers: Mapping[tuple[str, str], Sequence[str]],
        cores: Mapping[str, Cores], links: Links, primed: Sequence[tuple[str, str]],
    ):  # fmt: skip
        self._states = [_State(actor) for actor in actors]
        self._host_of = {actor.name: actor.host for actor in actors}
        self._consumers = consumers
        self._cores = cores
        self._of = {state.actor.name: state for state in self._states}
        self._links = links
        self._sent: dict[Key, _Sent] = {
            (channel, producer, 0): _Sent(0.0, producer, {}) for channel, producer in primed}
        self._released: dict[tuple[str, str, str], int] = {}  # by channel, producer, consumer
        self._freed: dict[tuple[str, str, str], tuple[float, str]] = {}
        self._busy_until: dict[tuple[str, str], float] = {}  # links
        self._wire: dict[str, list[tuple[float, float]]] = {}  # by host: until when, which load
        self.now = 0.0
        self.history = History(
            {a.name: [] for a in actors}, {a.name: [] for a in actors})

    def run(self, steps: int, until: Collection[str] | None = None) -> History:
        """All do so many steps, or those whose names are given.

        RuntimeError if all wait for each other: the plan would not end.
        """
        asked = [s for s in self._states if until is None or s.actor.name in until]
        self._settle(steps)
        while any(s.step < steps for s in asked):
            self._advance(steps)
            self._settle(steps)
        return self.history

    # --- what takes no time ---------------------------------------------------------------------

    def _settle(self, steps: int) -> None:
        """Lets every actor go on as far as it can at this moment."""
        moved = True
        while moved:
            moved = False
            for state in self._states:
                while state.step < steps and self._pass(state):
                    moved = True
                self._ask_for_core(state, steps)
            for cores in self._cores.values():
                moved |= cores.deal(self.now, self._waits_since, lambda n: self._of[n].slept)

    def _ask_for_core(self, state: _State, steps: int) -> None:
        cores = self._cores[state.actor.host]
        if state.step >= steps:
            cores.leave(state.actor.name)
        elif isinstance(state.event, Work):
            cores.want(state.actor.name, state.slept)

    def _waits_since(self, name: str) -> float | None:
        state = self._of[name]
        return None if isinstance(state.event, Work) else state.since

    def _pass(self, state: _State) -> bool:
        """Whether the event at hand is over; then the next is at hand."""
        event = state.event
        match event:
            case Work():
                if state.left > EPSILON:
                    return False
                self._finish(state, Done(state.since, self.now, event.what, is_work=True))
            case Take(channel, producer, number):
                sent = self._sent.get((channel, producer, number.of(state.step)))
                return sent is not None and self._taken(state, event, sent)
            case Open(channel, number):
                return self._opened(state, channel, number.of(state.step))
            case Release(channel, producer, number):
                key = (channel, producer, state.actor.name)
                self._released[key] = number.of(state.step)
                self._freed[key] = (self.now, state.actor.name)
                self._finish(state, None)
            case Give(channel, size, number):
                self._give(state, channel, size, number.of(state.step))
                self._finish(state, None)
        return True

    def _taken(self, state: _State, event: Take, sent: _Sent) -> bool:
        host = state.actor.host
        there = sent.there.get(host, sent.given)
        if there > self.now + EPSILON:
            return False
        giver = self._host_of.get(sent.by, host)
        if giver == host and not self._awake(state, max(there, state.since)):
            return False
        link = (giver, host) if giver != host else None
        what = f"{event.channel} from {event.producer}"
        cause = (sent.by, sent.given) if there > state.since + EPSILON else None
        self._finish(state, Done(state.since, self.now, what, cause, link))
        return True

    def _opened(self, state: _State, channel: str, number: int) -> bool:
        me = state.actor.name
        before = number - SLOTS
        keys = [(channel, me, c) for c in self._consumers.get((channel, me), ())]
        if before >= 0 and any(self._released.get(key, -1) < before for key in keys):
            return False
        freed = max((self._freed.get(key, (0.0, me)) for key in keys), default=(0.0, me))
        late = freed[0] > state.since + EPSILON
        if not self._awake(state, max(freed[0], state.since)):
            return False
        self._finish(state, Done(
            state.since, self.now, f"room in {channel}",
            (freed[1], freed[0]) if late else None))  # fmt: skip
        return True

    def _awake(self, state: _State, ready: float) -> bool:
        """A task that has waited long for its host's memory has to be woken."""
        if state.waking_until is None:
            state.waking_until = ready + waking_after(ready - state.since)
        return self.now >= state.waking_until - EPSILON

    def _finish(self, state: _State, done: Done | None) -> None:
        name = state.actor.name
        if done is not None:
            self.history.done[name].append(done)
        state.place += 1
        if state.place == len(state.actor.events):
            state.place = 0
            state.step += 1
            self.history.ends[name].append(self.now)
        if done is not None:
            asleep = self.now - state.since > YIELDING_SECONDS
            state.slept = not done.is_work and (state.slept or asleep)
        state.left, state.since, state.waking_until = 1.0, self.now, None

    def _give(self, state: _State, channel: str, size: int, number: int) -> None:
        """There at once for the host itself, over a link for others, one after the other."""
        me, here = state.actor.name, state.actor.host
        there = {here: self.now}
        for consumer in self._consumers.get((channel, me), ()):
            host = self._host_of[consumer]
            used = (here, host)
            self.history.bytes[used] = self.history.bytes.get(used, 0) + size
            if host == here:
                continue
            link = self._links[used]
            begin = max(self.now, self._busy_until.get(used, 0.0))
            end = begin + size / link.bandwidth_bytes_per_s
            self._busy_until[used] = end
            self._load(used, begin, end, size)
            there[host] = max(there.get(host, 0.0), end + link.latency_s)
        self._sent[channel, me, number] = _Sent(self.now, me, there)

    def _load(self, ends: tuple[str, str], begin: float, end: float, size: int) -> None:
        """What moving bytes over a network keeps cores busy with, at both ends."""
        if end > begin:
            share = min(1.0, size * WIRE_CPU_SECONDS_PER_BYTE / (end - begin))
            for host in ends:
                self._wire.setdefault(host, []).append((end, share))

    # --- what takes time ------------------------------------------------------------------------

    def _advance(self, steps: int) -> None:
        """To the next moment at which something changes."""
        working = [s for s in self._states if s.step < steps and self._works(s)]
        speeds = self._speeds(working)
        moments = [self.now + s.left / v for s, v in zip(working, speeds, strict=True)]
        moments += self._arrivals(steps)
        changes = (cores.next_change(self.now, self._waits_since) for cores in self._cores.values())
        moments += [moment for moment in changes if moment is not None and moment > self.now]
        if not moments:
            raise RuntimeError("every task waits for another")
        then = max(self.now, min(moments))
        for state, speed in zip(working, speeds, strict=True):
            state.left -= speed * (then - self.now)
            if state.left * (1 / speed) < EPSILON:
                state.left = 0.0
        self.now = then

    def _works(self, state: _State) -> bool:
        on_core = self._cores[state.actor.host].has(state.actor.name, self.now)
        return on_core and isinstance(state.event, Work)

    def _speeds(self, working: Sequence[_State]) -> list[float]:
        """By actor, the share of its work that it does in a second."""
        load: dict[str, float] = {}
        for state in working:
            load[state.actor.host] = load.get(state.actor.host, 0.0) + 1
        for host, wires in self._wire.items():
            wires[:] = [(end, share) for end, share in wires if end > self.now + EPSILON]
            load[host] = load.get(host, 0.0) + sum(share for _, share in wires)
        return [self._speed(state, load[state.actor.host]) for state in working]

    def _speed(self, state: _State, load: float) -> float:
        event = state.event
        assert isinstance(event, Work)
        cores = self._cores[state.actor.host].count
        crowd = min(1.0, max(0.0, load - 1) / max(1, cores - 1)) if cores > 1 else 0.0
        alone, crowded = event.seconds.alone, event.seconds.crowded
        needed = alone + crowd * (crowded - alone)
        return min(1.0, cores / load) / max(needed, EPSILON)

    def _arrivals(self, steps: int) -> list[float]:
        """When those who wait get what is under way, or look again."""
        found = []
        for state in self._states:
            event = state.event
            if state.step >= steps or isinstance(event, Work):
                continue
            if state.waking_until is not None and state.waking_until > self.now:
                found.append(state.waking_until)
            elif isinstance(event, Take):
                sent = self._sent.get((event.channel, event.producer, event.number.of(state.step)))
                there = sent.there.get(state.actor.host, sent.given) if sent else 0.0
                if there > self.now + EPSILON:
                    found.append(there)
        found += [end for wires in self._wire.values() for end, _ in wires if end > self.now]
        return found


def waking_after(waited: float) -> float:
    """How late a task sees what it has waited so long for: at once while it is awake."""
    return WAKING_SECONDS if waited > YIELDING_SECONDS else 0.0
