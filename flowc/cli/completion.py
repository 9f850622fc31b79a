"""`flowc completion`: the script that teaches a shell to complete flowc's words."""

from __future__ import annotations

import click

from flowc.cli.command import command


@command(
    "completion",
    ('eval "$(flowc completion bash)"', "in ~/.bashrc"),
    ('eval "$(flowc completion zsh)"', "in ~/.zshrc"),
    ("flowc completion fish | source", "in ~/.config/fish/config.fish"),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a shell's completion script."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    root = ctx.find_root()
    click.echo(made(root.command, {}, "flowc", "_FLOWC_COMPLETE").source())
