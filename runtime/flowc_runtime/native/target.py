"""The processor that this process runs on, as LLVM names it."""

from __future__ import annotations

from functools import cache

from llvmlite import binding as llvm

VECTOR_BYTES = (("avx512f", 64), ("avx2", 32), ("neon", 16))  # the widest that it has counts
FUSED = ("fma", "neon")  # processors that multiply and add in one


class Target:
    """`lanes` are f32 a vector; `key` names all that machine code depends on."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        triple, name = llvm.get_process_triple(), llvm.get_host_cpu_name()
        has = llvm.get_host_cpu_features()
        self.features = frozenset(feature for feature, there in has.items() if there)
        features = has.flatten()
        self.machine = llvm.Target.from_triple(triple).create_target_machine(
            cpu=name, features=features, opt=2, reloc="pic", codemodel="small")
        version = ".".join(map(str, llvm.llvm_version_info))
        self.key = " ".join((version, triple, name, features))

    @property
    def lanes(self) -> int:
        """1 where a kernel would gain nothing over NumPy."""
        if not self.features & set(FUSED):
            return 1
        widths = [width for feature, width in VECTOR_BYTES if feature in self.features]
        return max(widths, default=4) // 4


@cache
def this_target() -> Target:
    return Target()
