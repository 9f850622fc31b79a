"""A module of LLVM's under construction, and the functions in it by what they compute."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from llvmlite import ir

PLACES = ir.PointerType()


@dataclass
class Unit:
    """`lanes` are f32 a vector. All functions are of one argument: where their places stand."""

    lanes: int
    module: Any = field(default_factory=ir.Module)
    names: dict[Hashable, str] = field(default_factory=dict)  # by task

    def function(self, name: str) -> ir.IRBuilder:
        """Where the code of a new function begins."""
        type = ir.FunctionType(ir.VoidType(), [PLACES])
        function = ir.Function(self.module, type, name)
        return ir.IRBuilder(function.append_basic_block("entry"))
