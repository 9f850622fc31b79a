"""What `flowc new` makes: a model's text from this folder, and data that is computed for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from flowc.templates import samples


@dataclass(frozen=True)
class Template:
    """A project to start from; `data` gives the files of its `data/` folder."""

    name: str
    about: str
    data: Callable[[], Mapping[str, bytes]]

    def files(self, project: str) -> dict[str, bytes]:
        """All files of a project called `project`, by path; the same bytes every time."""
        readme = _text("README.md").replace("NAME", project, 1).replace("ABOUT", self.about, 1)
        return {
            "model.flow": _text(f"{self.name}/model.flow").encode(),
            "README.md": readme.encode(),
            ".gitignore": b"runs/\nbuild/\n",
            **{f"data/{name}": content for name, content in self.data().items()},
        }


def _text(path: str) -> str:
    return files("flowc.templates").joinpath(path).read_text(encoding="utf-8")


TEMPLATES = {
    template.name: template
    for template in (
        Template("mlp", "A perceptron tells three spiral arms apart.", samples.arms),
        Template("cnn", "A convolutional network tells shapes in pictures apart.", samples.shapes),
        Template("rnn", "A recurrent network foretells how a noisy wave goes on.", samples.waves),
        Template("linreg", "A straight line foretells what a flat costs.", samples.flats),
    )
}
