"""Diagnostics for people and for tools."""

from flowc.render.github import render_github
from flowc.render.json import render_json
from flowc.render.sarif import render_sarif
from flowc.render.text import render_text

__all__ = ["render_github", "render_json", "render_sarif", "render_text"]
