"""What is wrong with an ONNX model: one error with a code, and what each code means."""

from __future__ import annotations

from collections.abc import Mapping

CODES: Mapping[str, str] = {
    "onnx-missing": "Import and export of ONNX need a package that is not installed: "
    "`pip install 'flowc[onnx]'`.",
    "onnx-damaged": "The file is no sound ONNX model: its bytes cannot be read, a tensor has "
    "other sizes than it says, or a value is used that nothing makes.",
    "onnx-outside": "The model keeps tensors in another file, and that is not a regular file in "
    "the model's own folder.",
    "onnx-limit": "The model asks for more than is reasonable: its size, the nesting of its "
    "graphs, the rounds of a loop, or a tensor that is computed while importing.",
    "onnx-shape": "A size of an input is not known, and is not the batch: say it with "
    "`--shape input=1,3,224,224`.",
    "onnx-value": "A value of the model has to be known while importing, because the text depends "
    "on it: say it with `--value input=16000`.",
    "onnx-unsupported": "The model uses operators, or forms of them, that have no translation. "
    "All of them are listed, with their places.",
    "onnx-export": "The graph of the model cannot be said in ONNX.",
}


class OnnxError(Exception):
    """A model that cannot come in or go out: `code` is one of CODES.

    `notes` are lines that go with the message, one for each node where several are meant;
    `wanted` are the inputs that must be known, where that is what is wrong.
    """

    def __init__(
        self, code: str, message: str, path: str = "", help: str | None = None,
        notes: tuple[str, ...] = (), wanted: tuple[str, ...] = (),
    ):
        super().__init__(code, message, path, help, notes)
        self.notes = notes
        self.wanted = wanted
        self.code = code
        self.message = message
        self.path = path
        self.help = help

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Unsupported(Exception):
    """A node that has no translation; the message says why, the importer says where."""


class NotKnown(Exception):
    """A value that must be known while importing, but exists only in a step."""

    def __init__(self, name: str, what: str):
        super().__init__(name, what)
        self.name = name
        self.what = what
