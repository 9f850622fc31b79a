"""flowc: a declarative language and toolchain for tensor-graph models."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowc.api import FlowError, Model, load

__version__ = "0.1.0"
__all__ = ["FlowError", "Model", "load"]


def __getattr__(name: str) -> Any:
    """The Python API, imported at its first use: the command line starts without it."""
    if name in __all__:
        from flowc import api

        return getattr(api, name)
    raise AttributeError(f"module `flowc` has no attribute `{name}`")
