"""`flowc worker`: a task of a training, which listens for its coordinator."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowc.cli.command import command
from flowc.cli.jobs import allow_option

if TYPE_CHECKING:
    from flowc_runtime.cluster.task import Task

CERTIFICATES = click.Path(exists=True, file_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@command(
    "worker",
    ("flowc worker --listen 127.0.0.1:2222", "for a training on this machine"),
    ("flowc worker --listen 10.0.0.1:2222 --tls certs/", "for others that have certificates too"),
    ("flowc worker --listen 10.0.0.1:2222 --tls certs/ --keep", "one training after the other"),
)
@click.option("--listen", metavar="HOST:PORT", required=True,
              help="Where to listen; port 0 lets the system choose.")  # fmt: skip
@click.option("--tls", type=CERTIFICATES, metavar="DIR",
              help="Certificates of this host, made by `flowc cluster cert`.")  # fmt: skip
@click.option("--insecure", is_flag=True,
              help="Let anyone in who can reach the address, without certificates.")  # fmt: skip
@click.option("--root", type=FOLDER, default=".", show_default=True, metavar="DIR",
              help="Where relative paths of data begin.")  # fmt: skip
@allow_option
@click.option("--keep", is_flag=True, help="Wait for the next training when one is over.")
@click.option("--no-shared-memory", "network", is_flag=True,
              help="Take tensors over the network from tasks of this machine too.")  # fmt: skip
@click.option("--until-eof", is_flag=True,
              help="End with the standard input: for programs that start workers.")  # fmt: skip
@click.pass_context
def worker(
    ctx: click.Context,
    listen: str,
    tls: Path | None,
    insecure: bool,
    root: Path,
    allow: tuple[Path, ...],
    keep: bool,
    network: bool,
    until_eof: bool,
) -> None:
    """Take part in a training over several tasks.

    As a worker or as a ps: the coordinator says which. That is `flowc train --cluster FILE`, which
    connects to this address. The task ends when the training does, or some seconds after its
    coordinator is gone.
    """
    from flowc_runtime.cluster.control.listen import check_listen
    from flowc_runtime.cluster.worker import listening_task

    credentials = check_listen(listen, tls, insecure)
    task = listening_task(listen, credentials, root, allow, shared_memory=not network)
    if until_eof:
        threading.Thread(target=_end_with_input, args=(task,), name="input", daemon=True).start()
    click.echo(f"flowc worker listens at {task.address} (pid {os.getpid()})")
    sys.stdout.flush()
    if until_eof:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nobody reads any more of it
    status, why = task.serve(keep)
    click.echo(f"flowc worker ends: {why}", err=True)
    ctx.exit(status)


def _end_with_input(task: Task) -> None:
    while os.read(0, 4096):
        pass
    task.stop("whoever started it is gone")
