"""What can go wrong with the tasks of a training, as coded errors."""

from __future__ import annotations

from collections.abc import Mapping

CODES: Mapping[str, str] = {
    # a task cannot be reached
    "host-unknown": "The host's name does not resolve. The cluster file may have a typo, or this "
    "machine's name service does not know it: an IP address works everywhere.",
    "host-unreachable": "No answer came from the host: it is down, there is no route to it, or a "
    "firewall drops what is sent.",
    "host-refused": "The host answers, but nothing listens at the port. `flowc worker --listen` "
    "does not run there, or listens elsewhere.",
    "host-unauthenticated": "Something listens there, and the two do not accept each other's "
    "certificates, or one of them uses TLS and the other does not. Both need certificates that "
    "`flowc cluster cert` has made in one go, or both `--insecure`.",
    "host-not-flowc": "Something listens there that is no flowc worker.",
    "host-other-version": "The worker there speaks another version of the protocol. Coordinator "
    "and workers must run versions of flowc that go together, best the same.",
    # a task does not do what it should
    "task-busy": "The worker serves another coordinator. It takes one at a time; one whose "
    "coordinator is gone is free again some seconds later.",
    "task-not-started": "A task could not be started. The message ends with the last lines that it "
    "wrote.",
    "task-dies": "A task died again and again, so that starting it once more makes no sense. Often "
    "the system kills it for want of memory.",
    "task-lost": "A task that the training cannot do without is gone, and has not come back in "
    "time. The run folder holds the last checkpoint: `--resume` goes on from there.",
    "task-stuck": "A task has made no step for far longer than steps take, and to start it anew "
    "has not helped. The message says what it was at.",
    "task-memory": "A task could not get the memory that its part of the plan needs. `flowc plan` "
    "says how much that is for each.",
    "task-bug": "A task met an error that flowc did not foresee: a bug. Its own output has the "
    "traceback.",
    "peer-unreachable": "Two tasks cannot reach each other although both answer the coordinator. "
    "Tasks connect to each other at the addresses of the cluster file, which all hosts must be "
    "able to reach, not only the coordinator.",
    "data-differs": "Two tasks have different examples where they must have the same. Copy the "
    "data files to all hosts, or name a place that they share.",
    # a Ray cluster does not do what it should
    "ray-missing": "Training on a Ray cluster needs the package ray, which flowc does not bring "
    "along because it is large.",
    "ray-unreachable": "No Ray cluster can be joined. None runs on this machine, nothing answers "
    "at the address, the cluster wants a token that this machine does not have, or it runs another "
    "version of Ray or Python. flowc never starts one by itself.",
    "ray-no-room": "The Ray cluster does not have as many free CPUs as the tasks need, and no "
    "node with more has come. Each task takes as many as it has threads.",
    # what is told while the training goes on
    "task-restarted": "A task was lost, and is back. In the synchronous modes the "
    "weights come out the same as if nothing had happened.",
    "task-retried": "Two tasks lost touch, though neither of them was lost. They have connected "
    "anew.",
    "task-left-out": "A worker was lost, and the others compute its part until it is back. In the "
    "synchronous modes the weights do not depend on that.",
    "task-back": "A worker that had been left out takes part again.",
    "task-slow": "One worker takes much longer than the others, who wait for it. Another program "
    "may use its processor; `sync = backup(1)` does not wait for the slowest.",
    "task-waited-for": "The training waits for a task to come up.",
    # the worker's own
    "listen-insecure": "A worker that listens to other machines runs whatever plan they send it. "
    "So beyond loopback it wants certificates, or to be told that the network is trusted.",
    "listen-failed": "The worker cannot listen at the address: another program does already, or "
    "the address is not this machine's.",
    "tls-missing": "The folder does not have the files that `flowc cluster cert` makes, ca.pem, "
    "cert.pem and key.pem, or one of them cannot be read.",
    "tls-key-readable": "Other users of this machine can read the private key, so it may be "
    "theirs as well.",
    "coordinator-lost": "The coordinator of the training is gone, so the task has ended itself.",
}


class ClusterError(Exception):
    """A training over several tasks cannot go on, or begin; `code` is one of CODES.

    A task may also have failed with a code of its own: then that is `code`.
    """

    def __init__(self, code: str, message: str, help: str | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help
