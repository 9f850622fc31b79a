"""Programs of a plan in the form in which pictures group them."""

from __future__ import annotations

from flowc.views.dataflow import HELD, INPUT, DataFlow, Written, data_flow
from flowc.views.items import GRADIENT_MARK, Flow, Item, Result, Use, kernel_ops
from flowc_runtime.plan import Buffer, Instruction, Plan, Program, Variable


def flow_of_program(plan: Plan, program: Program) -> Flow:
    """Its instructions, and the inputs and variables that they read; constants are left out."""
    return _Reader(plan, program).flow()


class _Reader:
    """Gives values items: instructions have the first numbers, then comes what lies outside."""

    def __init__(self, plan: Plan, program: Program):
        self.program, self.flows = program, data_flow(program)
        self.variables = {v.offset: v for v in plan.variables}
        self.outside: dict[Item, int] = {}
        self.numbers: dict[Written, int | None] = {}

    def flow(self) -> Flow:
        reads = [self._uses(self.flows, k) for k in range(len(self.program.instructions))]
        results = tuple(self._results())
        instructions = {
            k: _instruction_item(k, i, self.program, reads[k])
            for k, i in enumerate(self.program.instructions)
        }
        outside = {number: item for item, number in self.outside.items()}
        return Flow(outside | instructions, results, tuple(self._updates()))

    def _uses(self, flows: DataFlow, number: int) -> tuple[Use, ...]:
        return tuple(u for value in flows.reads[number] if (u := self._use(value)) is not None)

    def _use(self, value: Written) -> Use | None:
        if value.instruction >= 0:
            return Use(*value)
        if value not in self.numbers:
            item = self._item_outside(value)
            if item is not None:
                self.outside.setdefault(item, item.id)
            self.numbers[value] = None if item is None else self.outside[item]
        number = self.numbers[value]
        return None if number is None else Use(number, 0)

    def _item_outside(self, value: Written) -> Item | None:
        number = len(self.program.instructions) + len(self.outside)
        if value.instruction == INPUT:
            port = self.program.inputs[value.result]
            return _leaf(number, "input", port.name, self.program.buffers[port.buffer])
        assert value.instruction == HELD
        buffer = self.program.buffers[value.result]
        variable = self.variables.get(buffer.offset) if buffer.space == "variables" else None
        if variable is None:
            return None
        known = (i for i in self.outside if i.name == variable.path)
        return next(known, None) or _leaf(number, variable.kind, variable.path, buffer)

    def _results(self) -> list[Result]:
        found = []
        for port, value in zip(self.program.outputs, self.flows.outputs, strict=True):
            use, type_ = self._use(value), str(self.program.buffers[port.buffer].type)
            found.append(Result(port.name, type_, use, "" if use else "constant"))
        return found

    def _updates(self) -> list[tuple[str, Use]]:
        return [
            (self._variable(self.program.buffers[buffer]).path, Use(number, result))
            for number, instruction in enumerate(self.program.instructions)
            for result, buffer in enumerate(instruction.results)
            if self.program.buffers[buffer].space == "variables"
        ]

    def _variable(self, buffer: Buffer) -> Variable:
        starts = [offset for offset in self.variables if offset <= buffer.offset]
        return self.variables[max(starts)]


def _instruction_item(
    number: int, instruction: Instruction, program: Program, uses: tuple[Use, ...]
) -> Item:
    path = instruction.path.removesuffix(GRADIENT_MARK)
    types = tuple(str(program.buffers[b].type) for b in instruction.results)
    scan = instruction.body is not None
    lines = tuple(map(str, instruction.attrs.get("lines", ())))
    return Item(
        id=number,
        kind="scan" if scan else "op",
        name=f"scan of {instruction.attrs['length']} rounds" if scan else instruction.op,
        ops=kernel_ops(lines) if lines else (instruction.op,),
        types=types,
        uses=uses,
        path=path,
        gradient=instruction.path.endswith(GRADIENT_MARK),
        at=instruction.at,
        line=_line(instruction.at),
        text=instruction.at.rpartition(":")[0],
        hover="\n".join((f"{number}: {instruction.op}", *types, *lines, instruction.at)),
    )


def _leaf(number: int, kind: str, name: str, buffer: Buffer) -> Item:
    elements = buffer.type.size if kind == "param" else 0
    assert isinstance(elements, int)
    return Item(
        id=number, kind=kind, name=name, ops=(), types=(str(buffer.type),), uses=(), path="",
        gradient=False, at="", line=0, text="", hover=f"{kind} {name}: {buffer.type}",
        elements=elements,
    )


def _line(at: str) -> int:
    """The line of `file:line:column`; 0 where there is none."""
    parts = at.rsplit(":", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdigit() else 0
