"""Machine code of threads that share a step: who works, who waits, and how all know it is done.

One thread leads: it comes from Python, and opens a step to the others. Each thread has a share of
the pieces, from which it takes some at a time, and then from those of others: a thread that the
system lets wait, or that still sleeps, is waited for only if it has taken something. The step is
done when nothing is left and nobody is in it. Threads that find no open step look for one for a
while, and then sleep.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from flowc_runtime.native.lanes import BYTE, I32, I64, Value, loop
from flowc_runtime.native.target import this_target
from flowc_runtime.native.unit import PLACES, STEP, pointer_to

LINE_BYTES = 128  # what processors move at a time, at most: words that others write lie apart
# The words of a pool, by their place in bytes.
OPEN = 0  # the number of the step that is open; 0: none
ACTIVE = LINE_BYTES  # threads that are in it, besides the one that leads
SLEEPERS, ENDED = 2 * LINE_BYTES, 2 * LINE_BYTES + 8
LED, THREADS, NUMBER, FUNCTION, GIVEN, STRIDE, GRAIN = range(
    3 * LINE_BYTES, 3 * LINE_BYTES + 56, 8)
MUTEX, CONDITION = 4 * LINE_BYTES, 5 * LINE_BYTES
SHARES = 6 * LINE_BYTES  # a line each: the next piece, and where the share ends
MOST_LOOKS = 4_000  # for a step, before a thread sleeps: some 50 us
MOST_PAUSES = 1_000  # in waiting for the others, before a thread lets others have its core

_ORDER = "seq_cst"


def pool_bytes(threads: int) -> int:
    return SHARES + threads * LINE_BYTES


@dataclass(frozen=True, slots=True)
class SharedStep:
    """A function, the places of the first thread, how many bytes further those of the next one
    are, how many pieces there are, how many are taken at a time, and whether to wake who sleeps.
    """

    function: Value
    places: Value
    stride: Value
    pieces: Value
    grain: Value
    wakes: Value

    def call(self, b: ir.IRBuilder) -> None:
        """Has one thread do all of it."""
        b.call(self.function, [self.places, I64(0), self.pieces])


class Sharing:
    """Writes what is done with a pool where the builder stands."""

    def __init__(self, b: ir.IRBuilder, pool: Value):
        self.b, self.pool = b, pool

    def lead(self, step: SharedStep) -> None:
        """Does a step together with the others; alone where somebody else leads them now."""
        b = self.b
        led = b.cmpxchg(self._at(LED), I64(0), I64(1), _ORDER, _ORDER)
        with b.if_else(b.extract_value(led, 1)) as (free, taken):
            with free:
                self._describe(step)
                number = b.add(self._load(NUMBER), I64(1))
                self._store(NUMBER, number)
                self._show(OPEN, number)
                sleepers = b.mul(step.wakes, self._seen(SLEEPERS))
                with b.if_then(b.icmp_signed(">", sleepers, I64(0))):
                    self._wake()
                self._take(I64(0))
                self._show(OPEN, I64(0))
                self._await_others()
                self._show(LED, I64(0))
            with taken:
                step.call(b)

    def follow(self, thread: Value) -> None:
        """Joins in each step that is opened, until all is ended."""
        b = self.b
        last = self._variable(I64(0))  # the number of the step that was joined last
        with _endless(b) as end:
            self._look_for_step(last, end)
            b.atomic_rmw("add", self._at(ACTIVE), I64(1), _ORDER)
            number = self._seen(OPEN)  # it may have been closed before this thread was counted
            with b.if_then(b.icmp_signed("!=", number, I64(0))):
                b.store(number, last)
                self._take(thread)
            b.atomic_rmw("sub", self._at(ACTIVE), I64(1), _ORDER)

    # --- taking pieces --------------------------------------------------------------------------

    def _describe(self, step: SharedStep) -> None:
        b, threads = self.b, self._load(THREADS)
        for word, value in (
            (FUNCTION, step.function), (GIVEN, step.places), (STRIDE, step.stride),
            (GRAIN, step.grain),
        ):
            self._store(word, value)
        with loop(b, 0, threads) as thread:
            begin, end = (
                b.udiv(b.mul(step.pieces, number), threads)
                for number in (thread, b.add(thread, I64(1))))
            share = self._share(thread)
            b.store(begin, share, align=8)
            b.store(end, self._next(share), align=8)

    def _take(self, thread: Value) -> None:
        """Of the thread's own share, then of the others', what nobody has taken yet."""
        b, threads, grain = self.b, self._load(THREADS), self._load(GRAIN)
        function = self._load(FUNCTION, pointer_to(STEP))
        far = b.mul(thread, self._load(STRIDE))
        places = b.gep(self._load(GIVEN, PLACES), [far], source_etype=BYTE)
        with loop(b, 0, threads) as further:
            share = self._share(b.urem(b.add(thread, further), threads))
            stop = b.load(self._next(share), typ=I64, align=8)
            with _endless(b) as end:
                first = b.atomic_rmw("add", share, grain, "monotonic")
                _leave_if(b, b.icmp_signed(">=", first, stop), end)
                last = b.add(first, grain)
                last = b.select(b.icmp_signed("<", last, stop), last, stop)
                b.call(function, [places, first, last])

    # --- waiting --------------------------------------------------------------------------------

    def _await_others(self) -> None:
        b = self.b
        count = self._variable(I64(0))
        with _endless(b) as end:
            _leave_if(b, b.icmp_signed("==", self._seen(ACTIVE), I64(0)), end)
            with b.if_else(self._counted(count, MOST_PAUSES)) as (long, short):
                with long:  # one of them may be waiting for this core
                    b.call(self._external("sched_yield"), [])
                with short:
                    self._pause()

    def _look_for_step(self, last: Value, ended: Any) -> None:
        """Until there is one that was not joined yet; leaves to `ended` where there will be none.
        """
        b = self.b
        count = self._variable(I64(0))
        b.store(I64(0), count)
        with _endless(b) as end:
            _leave_if(b, self._is_new(last), end)
            _leave_if(b, self._is_ended(), ended)
            self._pause()
            with b.if_then(self._counted(count, MOST_LOOKS)):
                self._sleep(last)
                b.store(I64(0), count)

    def _sleep(self, last: Value) -> None:
        b = self.b
        b.call(self._external("pthread_mutex_lock", 1), [self._at(MUTEX)])
        b.atomic_rmw("add", self._at(SLEEPERS), I64(1), _ORDER)
        awake = b.or_(self._is_new(last), self._is_ended())  # whoever comes later sees a sleeper
        with b.if_then(b.not_(awake)):
            b.call(self._external("pthread_cond_wait", 2), [self._at(CONDITION), self._at(MUTEX)])
        b.atomic_rmw("sub", self._at(SLEEPERS), I64(1), _ORDER)
        b.call(self._external("pthread_mutex_unlock", 1), [self._at(MUTEX)])

    def end(self) -> None:
        """Tells all threads to leave."""
        self._show(ENDED, I64(1))
        self._wake()

    def _wake(self) -> None:
        for name, word in (
            ("pthread_mutex_lock", MUTEX), ("pthread_cond_broadcast", CONDITION),
            ("pthread_mutex_unlock", MUTEX),
        ):
            self.b.call(self._external(name, 1), [self._at(word)])

    def _is_new(self, last: Value) -> Value:
        b, number = self.b, self._seen(OPEN)
        known = b.icmp_signed("==", number, b.load(last, typ=I64, align=8))
        return b.not_(b.or_(known, b.icmp_signed("==", number, I64(0))))

    def _is_ended(self) -> Value:
        return self.b.icmp_signed("!=", self._seen(ENDED), I64(0))

    def _counted(self, count: Value, most: int) -> Value:
        """Whether it has been asked more often than `most`."""
        b = self.b
        more = b.add(b.load(count, typ=I64, align=8), I64(1))
        b.store(more, count)
        return b.icmp_signed(">", more, I64(most))

    def _pause(self) -> None:
        """Tells the processor that this thread waits."""
        if "sse2" in this_target().features:
            self.b.call(self._external("llvm.x86.sse2.pause", result=ir.VoidType()), [])

    # --- words ----------------------------------------------------------------------------------

    def _at(self, word: int) -> Value:
        return self.b.gep(self.pool, [I64(word)], source_etype=BYTE)

    def _share(self, thread: Value) -> Value:
        offset = self.b.add(self.b.mul(thread, I64(LINE_BYTES)), I64(SHARES))
        return self.b.gep(self.pool, [offset], source_etype=BYTE)

    def _next(self, word: Value) -> Value:
        return self.b.gep(word, [I64(1)], source_etype=I64)

    def _load(self, word: int, type: Any = I64) -> Value:
        """What changes only while no step is open."""
        return self.b.load(self._at(word), typ=type, align=8)

    def _store(self, word: int, value: Value) -> None:
        self.b.store(value, self._at(word), align=8)

    def _show(self, word: int, value: Value) -> None:
        self.b.atomic_rmw("xchg", self._at(word), value, _ORDER)

    def _seen(self, word: int) -> Value:
        return self.b.load_atomic(self._at(word), _ORDER, 8, typ=I64)

    def _variable(self, value: Value) -> Value:
        with self.b.goto_entry_block():
            held = self.b.alloca(I64)
            self.b.store(value, held)
        return held

    def _external(self, name: str, pointers: int = 0, result: Any = I32) -> Value:
        """A function of the C library, or of LLVM's."""
        module = self.b.module
        if name not in module.globals:
            ir.Function(module, ir.FunctionType(result, [PLACES] * pointers), name)
        return module.globals[name]


@contextmanager
def _endless(b: ir.IRBuilder) -> Iterator[Any]:
    """A loop that is left by going to the block it gives."""
    head, end = b.append_basic_block("again"), b.append_basic_block("left")
    b.branch(head)
    b.position_at_end(head)
    yield end
    b.branch(head)
    b.position_at_end(end)


def _leave_if(b: ir.IRBuilder, condition: Value, end: Any) -> None:
    with b.if_then(condition):
        b.branch(end)
