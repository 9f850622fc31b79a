"""Diagnostics for people (text) and for tools (GitHub's commands; JSON and SARIF as dicts)."""

from flowc.render.github import render_github
from flowc.render.json import json_report
from flowc.render.sarif import render_sarif
from flowc.render.text import render_text

__all__ = ["json_report", "render_github", "render_sarif", "render_text"]
