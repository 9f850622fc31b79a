"""flowc: a declarative language and toolchain for tensor-graph models."""

__version__ = "0.1.0"
