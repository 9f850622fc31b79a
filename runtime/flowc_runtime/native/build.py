"""From LLVM's text to addresses of functions; machine code is kept for the next process."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from llvmlite import binding as llvm
from platformdirs import user_cache_path

from flowc_runtime.native.target import Target, this_target

DIGEST_BYTES = 32  # in front of a kept object: SHA-256 of what follows
FORM = "1"  # of what is kept


def addresses_of(text: str, names: Sequence[str]) -> dict[str, int]:
    """The functions of a module, by name; they stay for as long as this process."""
    target = this_target()
    key = hashlib.sha256(f"{FORM}\n{target.key}\n{text}".encode()).hexdigest()
    library = llvm.JITLibraryBuilder().add_object_img(_object(text, key, target))
    library.add_current_process()  # functions of the C library
    for name in names:
        library.export_symbol(name)
    jit = llvm.create_lljit_compiler(target.machine, use_jit_link=False)
    tracker = library.link(jit, key)
    _kept.append((jit, tracker))
    return {name: tracker[name] for name in names}


_kept: list[object] = []  # machine code goes when these do


def _object(text: str, key: str, target: Target) -> bytes:
    folder = user_cache_path("flowc") / "kernels"
    kept = folder / f"{key}.o"
    found = _read(kept)
    if found is None:
        found = _compiled(text, target)
        with suppress(OSError):  # without a cache it is made anew next time
            _keep(kept, found)
    return found


def _compiled(text: str, target: Target) -> bytes:
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = False  # the kernels have their lanes
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(target.machine, options)
    builder.getModulePassManager().run(module, builder)
    return bytes(target.machine.emit_object(module))


def _read(path: Path) -> bytes | None:
    """What is kept there, if it is whole and nobody else could have written it."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or _is_others(found):
                return None
            content = file.read()
    except OSError:
        return None
    digest, code = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return code if hashlib.sha256(code).digest() == digest else None


def _is_others(found: os.stat_result) -> bool:
    own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return not own or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _keep(path: Path, code: bytes) -> None:
    """Whole or not at all, also where two processes do it at once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(hashlib.sha256(code).digest() + code)
            file.flush()
            os.replace(file.name, path)
        except OSError:
            os.unlink(file.name)
            raise
