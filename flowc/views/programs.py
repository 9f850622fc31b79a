"""Programs of a plan in the form in which pictures group them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flowc.views.dataflow import INPUT, Written, data_flow
from flowc.views.items import GRADIENT_MARK, Flow, Item, Result, Use, kernel_ops
from flowc_runtime.plan import Buffer, Instruction, Plan, Program


def flow_of_program(plan: Plan, program: Program) -> Flow:
    """Its instructions, and the inputs and variables that they read; constants are left out."""
    reader = _Reader(plan, program)
    instructions = {k: reader.instruction(k) for k in range(len(program.instructions))}
    results = tuple(reader.results())
    return Flow(reader.outside | instructions, results, tuple(reader.updates()))


class _Reader:
    """Gives values items: instructions have the first numbers, then comes what lies outside."""

    def __init__(self, plan: Plan, program: Program):
        self.plan, self.program = plan, program
        self.flow = data_flow(plan, program)
        self.outside: dict[int, Item] = {}
        self.numbers: dict[Written, int] = {}

    def instruction(self, number: int) -> Item:
        instruction = self.program.instructions[number]
        types = tuple(str(self.program.buffers[b].type) for b in instruction.results)
        return _instruction_item(number, instruction, types, self._uses(self.flow.reads[number]))

    def results(self) -> Iterator[Result]:
        for port, values in zip(self.program.outputs, self.flow.outputs, strict=True):
            type_ = str(self.program.buffers[port.buffer].type)
            uses = self._uses(values)
            yield Result(port.name, type_, uses[0] if uses else None, "" if uses else "constant")

    def updates(self) -> Iterator[tuple[str, Use]]:
        """The variables that are written, several by one instruction if they lie side by side."""
        for number, instruction in enumerate(self.program.instructions):
            for result, buffer in enumerate(instruction.results):
                written = self.program.buffers[buffer]
                for v in self.plan.variables:
                    if written.meets(Buffer("variables", v.offset, v.type)):
                        yield v.path, Use(number, result)

    def _uses(self, values: Iterable[Written]) -> tuple[Use, ...]:
        return tuple(
            Use(*value) if value.instruction >= 0 else Use(self._number(value), 0)
            for value in values
        )

    def _number(self, value: Written) -> int:
        """The item's number of an input or variable, which becomes an item at its first use."""
        if value not in self.numbers:
            number = len(self.program.instructions) + len(self.outside)
            self.numbers[value] = number
            self.outside[number] = self._leaf(number, value)
        return self.numbers[value]

    def _leaf(self, number: int, value: Written) -> Item:
        if value.instruction == INPUT:
            port = self.program.inputs[value.result]
            return _leaf_item(number, "input", port.name, self.program.buffers[port.buffer])
        variable = self.plan.variables[value.result]
        place = Buffer("variables", variable.offset, variable.type)
        return _leaf_item(number, variable.kind, variable.path, place)


def _instruction_item(
    number: int, instruction: Instruction, types: tuple[str, ...], uses: tuple[Use, ...]
) -> Item:
    scan = instruction.body is not None
    lines = tuple(map(str, instruction.attrs.get("lines", ())))
    return Item(
        id=number,
        kind="scan" if scan else "op",
        name=f"scan of {instruction.attrs['length']} rounds" if scan else instruction.op,
        ops=kernel_ops(lines) if lines else (instruction.op,),
        types=types,
        uses=uses,
        path=instruction.path.removesuffix(GRADIENT_MARK),
        gradient=instruction.path.endswith(GRADIENT_MARK),
        at=instruction.at,
        line=_line(instruction.at),
        text=instruction.at.rpartition(":")[0],
        hover="\n".join((f"{number}: {instruction.op}", *types, *lines, instruction.at)),
    )


def _leaf_item(number: int, kind: str, name: str, buffer: Buffer) -> Item:
    elements = buffer.type.size if kind == "param" else 0
    assert isinstance(elements, int)
    return Item(
        id=number, kind=kind, name=name, ops=(), types=(str(buffer.type),), uses=(), path="",
        gradient=False, at="", line=0, text="", hover=f"{kind} {name}: {buffer.type}",
        elements=elements,
    )  # fmt: skip


def _line(at: str) -> int:
    """The line of `file:line:column`; 0 where there is none."""
    parts = at.rsplit(":", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdigit() else 0
