"""The grammar of `.flow` texts, for the compiler and for editors."""

from importlib.resources import files


def grammar() -> str:
    """The text of `flow.lark`."""
    return files(__name__).joinpath("flow.lark").read_text("utf-8")
