"""From LLVM's text to addresses of functions; machine code is kept for the next process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from llvmlite import binding as llvm

from flowc_runtime.kept import kept_code
from flowc_runtime.native.target import Target, this_target


def addresses_of(text: str, names: Sequence[str]) -> dict[str, int]:
    """The functions of a module, by name; they stay for as long as this process."""
    target = this_target()
    object = kept_code(text, target.key, "o", lambda text: _compiled(text, target))
    library = llvm.JITLibraryBuilder().add_object_img(object)
    library.add_current_process()  # functions of the C library
    for name in names:
        library.export_symbol(name)
    # The older linker puts the parts of a module wherever there is room, and ends the process where
    # they are further apart than 2 GiB.
    jit = llvm.create_lljit_compiler(target.machine, use_jit_link=True)
    tracker = library.link(jit, hashlib.sha256(text.encode()).hexdigest())
    _kept.append((jit, tracker))
    return {name: tracker[name] for name in names}


_kept: list[object] = []  # machine code goes when these do


def _compiled(text: str, target: Target) -> bytes:
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = False  # the kernels have their lanes
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(target.machine, options)
    builder.getModulePassManager().run(module, builder)
    return bytes(target.machine.emit_object(module))
