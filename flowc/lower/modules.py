"""Files and their imports: which definitions a file can name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from flowc.diagnostic import Sink
from flowc.lower import errors
from flowc.lower.builtins import BUILTINS
from flowc.lower.scope import Binding, Scope
from flowc.lower.values import POISON, BlockFunction, OptimizerFunction, ScheduleFunction
from flowc.source import LIBRARY, Source
from flowc.syntax import tree as t

_DEFINITION = re.compile(r"^(?:block|optimizer|schedule) +(\w+)", re.MULTILINE)

Read = Callable[[Path, Sink, Any], Source | None]
Parse = Callable[[Source, Sink], t.Tree]


@dataclass
class Modules:
    """Loads files on demand, each once. `root` is the folder that imports cannot leave."""

    parse: Parse
    read: Read
    sink: Sink
    root: Path | None
    define_hyper: Callable[[t.Hyper, Scope], None]
    loaded: dict[str, Scope] = field(default_factory=dict)
    loading: list[str] = field(default_factory=list)
    lost: dict[str, frozenset[str]] = field(default_factory=dict)  # by module, of damaged texts

    def scope_of(self, tree: t.Tree) -> Scope:
        """The names that the items of a file define or import; the library lies behind them."""
        scope = Scope("module", self.library())
        for item in tree.items:
            match item:
                case t.Import():
                    self._import(item, tree.source, scope)
                case t.Hyper():
                    self.define_hyper(item, scope)
                case t.Block() | t.Optimizer() | t.Schedule():
                    self._define(item, scope)
        return scope

    def library(self) -> Scope:
        """The scope of built-in functions and of the standard library's everyday names."""
        if "std" not in self.loaded:
            self.loaded["std"] = LibraryScope("module", modules=self)
        return self.loaded["std"]

    def load_library(self, module: str) -> Scope:
        """The scope of one file of the standard library."""
        if module not in self.loaded:
            self.loaded[module] = self.scope_of(_library_tree(self.parse, module))
        return self.loaded[module]

    def _define(self, item: t.Block | t.Optimizer | t.Schedule, scope: Scope) -> None:
        name = item.name.text
        if name in scope.names:
            self.sink.report(errors.defined_twice(item.name, scope.names[name]))
            return
        function: Any
        match item:
            case t.Block():
                function = BlockFunction(item, scope)
            case t.Optimizer():
                function = OptimizerFunction(item, scope)
            case t.Schedule():
                function = ScheduleFunction(item, scope)
        scope.names[name] = Binding(function, item.name.span, type(item).__name__.lower())

    def _import(self, item: t.Import, importer: Source, scope: Scope) -> None:
        module = self._library_file(item) if item.library else self._file(item, importer)
        for imported in item.names:
            alias = imported.alias or imported.name
            if alias.text in scope.names:
                self.sink.report(errors.defined_twice(alias, scope.names[alias.text]))
                continue
            value = POISON if module is None else self._imported(item, imported.name, module)
            scope.names[alias.text] = Binding(value, alias.span, "import")

    def _imported(self, item: t.Import, name: t.Name, module: Scope) -> Any:
        if name.text in module.names:
            return module.names[name.text].value
        if name.text not in self.lost.get(item.module, ()):
            home = library_index().get(name.text) if item.library else None
            self.sink.report(errors.not_in_module(name, item.module, module.names, home))
        return POISON

    def _library_file(self, item: t.Import) -> Scope | None:
        name = item.module.removeprefix("std.")
        known = sorted(set(library_index().values()))
        if not item.module.startswith("std.") or name not in known:
            self.sink.report(errors.no_library_module(item, [f"std.{k}" for k in known]))
            return None
        return self.load_library(name)

    def _file(self, item: t.Import, importer: Source) -> Scope | None:
        if importer.folder is None or self.root is None:
            self.sink.report(errors.import_without_folder(item))
            return None
        path = (importer.folder / item.module).resolve()
        if not path.is_relative_to(self.root.resolve()):
            self.sink.report(errors.import_outside(item, self.root))
            return None
        key = str(path)
        if key in self.loading:
            self.sink.report(errors.import_cycle(item))
            return None
        if key not in self.loaded:
            source = self.read(path, self.sink, item)
            if source is None:
                return None
            self.loading.append(key)
            tree = self.parse(replace(source, name=_beside(importer, item.module)), self.sink)
            self.lost[item.module] = tree.lost
            self.loaded[key] = self.scope_of(tree)
            self.loading.pop()
        return self.loaded[key]


def _beside(importer: Source, module: str) -> str:
    """What an imported file is called in messages: as the importer is, by the same way."""
    return (Path(importer.name).parent / module).as_posix()


@dataclass
class LibraryScope(Scope):
    """Built-in functions and the library's definitions; a library file is parsed when needed."""

    modules: Modules = None  # type: ignore[assignment]

    def own(self, name: str) -> Binding | None:
        if name in BUILTINS:
            return Binding(BUILTINS[name])
        module = library_index().get(name)
        return self.modules.load_library(module).names.get(name) if module else None

    def own_names(self) -> Iterator[str]:
        yield from BUILTINS
        yield from library_index()


@cache
def _library_tree(parse: Parse, module: str) -> t.Tree:
    """A file of the library as a Tree, which is the same in every compilation."""
    text = files("flowc.std").joinpath(f"{module}.flow").read_text()
    sink = Sink()
    tree = parse(Source(f"{LIBRARY}{module}.flow", text), sink)
    assert not sink.diagnostics, sink.diagnostics
    return tree


@cache
def library_index() -> dict[str, str]:
    """Which file of the standard library defines a name."""
    index: dict[str, str] = {}
    for file in sorted(files("flowc.std").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".flow"):
            for name in _DEFINITION.findall(file.read_text()):
                index[name] = file.name.removesuffix(".flow")
    return index
