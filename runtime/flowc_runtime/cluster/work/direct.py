"""Gradients that a program writes where others read them: a task with one shard has nothing to add.

On two cores a copy of all gradients is 3 % of a step of models/fashion_mlp.flow.
"""

from __future__ import annotations

from flowc_runtime.cluster.plan import GRADIENT, Channel, ClusterPlan, TaskName
from flowc_runtime.cluster.work.table import Ranges
from flowc_runtime.plan import Program


def direct_tensors(
    plan: ClusterPlan, me: TaskName, ranges: Ranges, channel: Channel
) -> dict[str, int]:
    """The tensors of a channel of gradients that need no copy, with the buffers that they replace.

    Where the modes are loose a slot may be free only long after the step has begun.
    """
    start, stop = ranges[str(me)]
    program = plan.part(me.role).plan.programs.get(GRADIENT)
    if stop - start != 1 or plan.sync.loose or program is None:
        return {}
    buffers = {port.name: port.buffer for port in program.outputs}
    names = {t.name for t in channel.tensors} & buffers.keys()
    return {name: buffers[name] for name in names if _may_move(program, buffers[name])}


def _may_move(program: Program, number: int) -> bool:
    """Whether one instruction writes it, from other bytes, and nothing reads it or its bytes."""
    buffer = program.buffers[number]
    writers = [k for k, i in enumerate(program.instructions) if number in i.results]
    if len(writers) != 1 or [p.buffer for p in program.outputs].count(number) != 1:
        return False
    writer, *later = program.instructions[writers[0] :]
    read = {k for i in (writer, *later) for k in i.operands}
    written = {k for i in later for k in i.results} | set(writer.results) - {number}
    return writer.body is None and not any(
        program.buffers[k].meets(buffer) for k in read | written)
