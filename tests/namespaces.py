"""Hosts on one machine: network namespaces on a bridge, each with an address of its own.

    with hosts(4) as found:                 needs root, and `ip` of iproute2
        found[0].run([...])                 a process on the first host
        found[1].cut(); found[1].heal()     its link is taken away and given back

As a script it makes them, says how to use them, and removes them when it is interrupted:

    python tests/namespaces.py 4
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

NETWORK = "10.98.0"
BRIDGE = "flowc-br"


@dataclass(frozen=True)
class Host:
    """A namespace. Who stands outside, at `NETWORK.1`, reaches it at `address`."""

    name: str
    address: str

    def run(self, command: Sequence[str], **options: object) -> subprocess.Popen[str]:
        inside = ["ip", "netns", "exec", self.name, *command]
        return subprocess.Popen(inside, text=True, **options)  # type: ignore[call-overload, no-any-return]

    def cut(self) -> None:
        """No packet goes in or out, and nobody is told."""
        ip("link", "set", self._outer, "down")

    def heal(self) -> None:
        ip("link", "set", self._outer, "up")

    @property
    def _outer(self) -> str:
        return f"v{self.name}"


def why_not() -> str | None:
    """Why this machine has no namespaces for us, if so."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "there is no `ip` (Debian: iproute2)"
    tried = subprocess.run(["ip", "netns", "add", "flowc-try"], capture_output=True, text=True)
    if tried.returncode:
        return f"no network namespace can be made: {tried.stderr.strip()}"
    ip("netns", "delete", "flowc-try")
    return None


@contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """Makes so many hosts, and removes them with all that runs on them."""
    _remove()
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("address", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        yield [_add(number) for number in range(count)]
    finally:
        _remove()


def _add(number: int) -> Host:
    host = Host(f"flowc{number}", f"{NETWORK}.{number + 2}")
    ip("netns", "add", host.name)
    ip("link", "add", host._outer, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    ip("link", "set", host._outer, "master", BRIDGE)
    ip("link", "set", host._outer, "up")
    ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
    ip("-n", host.name, "link", "set", "eth0", "up")
    ip("-n", host.name, "link", "set", "lo", "up")
    return host


def _remove() -> None:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    for line in listed.splitlines():
        name = line.split()[0]
        if name.startswith("flowc"):
            inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
            for pid in inside.stdout.split():
                os.kill(int(pid), signal.SIGKILL)
            ip("netns", "delete", name)
            # The kernel takes the link away too, but later, when the next one is being made.
            subprocess.run(["ip", "link", "delete", f"v{name}"], capture_output=True)
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def main() -> None:
    reason = why_not()
    if reason:
        sys.exit(reason)
    with hosts(int(sys.argv[1]) if len(sys.argv) > 1 else 4) as found:
        for host in found:
            print(f"ip netns exec {host.name} flowc worker --listen {host.address}:2222 --insecure")
        print("Ctrl-C removes them", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
