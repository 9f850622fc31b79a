"""How fast payloads move between two processes: bandwidth, latency, and a sum over both.

    python benchmarks/transport.py                          flowc alone
    python benchmarks/transport.py --torch-python PYTHON    beside torch.distributed over gloo

PYTHON is an interpreter with torch; the two are measured alternately in one run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

LARGE_BYTES, SMALL_BYTES, SUM_BYTES = 100_000_000, 4096, 25_000_000
HERE = Path(__file__).resolve()


# --- one of the two processes ---------------------------------------------------------------------


def child(me: str, shared_memory: bool, work: str, rounds: int) -> None:
    """Tells its address and token, is told the other's, and measures."""
    import grpc

    from flowc_runtime.cluster.exchange import Incoming, Outgoing, Peer
    from flowc_runtime.cluster.grpc_options import SERVER_OPTIONS
    from flowc_runtime.cluster.transport.exchange import TensorExchange
    from flowc_runtime.cluster.transport.serve import pull_handler

    class Late(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details):  # type: ignore[no-untyped-def]
            return handler.service(details)

    server = grpc.server(ThreadPoolExecutor(8), handlers=(Late(),), options=SERVER_OPTIONS)
    port = server.add_insecure_port("127.0.0.1:0")
    exchange = TensorExchange(f"127.0.0.1:{port}", shared_memory=shared_memory)
    handler = pull_handler(exchange)
    server.start()
    print(json.dumps([exchange.address, exchange.token]), flush=True)
    address, token = json.loads(sys.stdin.readline())
    other = "b" if me == "a" else "a"
    size = {"large": LARGE_BYTES, "small": SMALL_BYTES, "sum": SUM_BYTES}[work]
    exchange.open(
        1, me, [Peer(other, address, token)],
        [Outgoing(f"from-{me}", size, (other,))],
        [Incoming(f"from-{other}", size, other, (other, me)[1:])], 60.0)
    result = {"large": one_way, "small": ping_pong, "sum": sum_both}[work](
        exchange, me, other, size, rounds)
    print(json.dumps(result), flush=True)
    sys.stdin.readline()
    exchange.close()
    server.stop(None)


def one_way(exchange, me: str, other: str, size: int, rounds: int) -> dict[str, float]:
    """`a` sends, `b` copies each payload into memory of its own, as a task does."""
    target = np.zeros(size, np.uint8)
    if me == "a":
        outbox = exchange.outbox("from-a")
        for k in range(2):
            outbox.slot(k)[:] = 1
            outbox.publish(k, size)
        exchange.inbox("from-b", "b").fetch(0)
    else:
        inbox = exchange.inbox("from-a", "a")
        for k in range(2):
            inbox.fetch(k)
            inbox.release(k)
        exchange.outbox("from-b").slot(0)
        exchange.outbox("from-b").publish(0, 8)
    began, cpu = time.perf_counter(), cpu_seconds()
    for k in range(2, rounds + 2):
        if me == "a":
            exchange.outbox("from-a").slot(k)
            exchange.outbox("from-a").publish(k, size)
        else:
            np.copyto(target, exchange.inbox("from-a", "a").fetch(k))
            exchange.inbox("from-a", "a").release(k)
    return {"seconds": time.perf_counter() - began, "cpu": cpu_seconds() - cpu}


def ping_pong(exchange, me: str, other: str, size: int, rounds: int) -> dict[str, float]:
    times = []
    outbox, inbox = exchange.outbox(f"from-{me}"), exchange.inbox(f"from-{other}", other)
    for k in range(rounds):
        began = time.perf_counter()
        for mine in (me == "a", me != "a"):
            if mine:
                outbox.slot(k)[:8] = 1
                outbox.publish(k, size)
            else:
                inbox.fetch(k)
                inbox.release(k)
        times.append(time.perf_counter() - began)
    return {"seconds": statistics.median(times) / 2}


def sum_both(exchange, me: str, other: str, size: int, rounds: int) -> dict[str, list[float]]:
    """Each has a gradient in its slot, and adds both into memory of its own."""
    outbox, inbox = exchange.outbox(f"from-{me}"), exchange.inbox(f"from-{other}", other)
    total = np.zeros(size // 4, np.float32)
    for k in range(2):
        outbox.slot(k)[:] = 0
        outbox.publish(k, size)
        inbox.fetch(k)
        inbox.release(k)
    times = []
    for k in range(2, rounds + 2):
        mine = outbox.slot(k)
        began = time.perf_counter()
        outbox.publish(k, size)
        theirs = inbox.fetch(k)[:size]
        np.add(mine[:size].view(np.float32), theirs.view(np.float32), out=total)
        inbox.release(k)
        times.append(time.perf_counter() - began)
    return {"seconds": times}


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# --- both -----------------------------------------------------------------------------------------


def measure(work: str, shared_memory: bool, rounds: int) -> list[dict]:
    from flowc_runtime.cluster.launch.environment import GLIBC_TUNABLES

    environment = {**os.environ, "GLIBC_TUNABLES": GLIBC_TUNABLES, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE), "--child", work, "--rounds", str(rounds)]
    both = [
        subprocess.Popen(
            [*command, "--me", me, *(["--shared"] if shared_memory else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for me in ("a", "b")
    ]
    where = [process.stdout.readline() for process in both]
    for process, line in zip(both, reversed(where), strict=True):
        process.stdin.write(line)
        process.stdin.flush()
    results = [json.loads(process.stdout.readline()) for process in both]
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
        process.wait()
    return results


GLOO = """
import os, sys, time, json, torch, torch.distributed as dist
rank, path, size, rounds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method="file://" + path, rank=rank, world_size=2)
x = torch.zeros(size // 4)
for _ in range(3):
    dist.all_reduce(x)
times = []
for _ in range(rounds):
    began = time.perf_counter(); dist.all_reduce(x); times.append(time.perf_counter() - began)
print(json.dumps(times))
"""


def gloo(python: str, rounds: int) -> list[float]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        both = [
            subprocess.Popen(
                [python, "-c", GLOO, str(rank), f"{folder}/meet", str(SUM_BYTES), str(rounds)],
                stdout=subprocess.PIPE, text=True)
            for rank in (0, 1)
        ]
        return json.loads([process.communicate()[0] for process in both][0].splitlines()[-1])


def spread(values: list[float], scale: float, unit: str) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75]) * scale
    return f"{middle:.2f} {unit} (quartiles {low:.2f} to {high:.2f})"


def report(torch_python: str | None, repeats: int) -> None:
    rates, costs = [], []
    for _ in range(repeats):
        a, b = measure("large", False, 20)
        gigabytes = 20 * LARGE_BYTES / 1e9
        rates.append(gigabytes / b["seconds"])
        costs.append((a["cpu"] + b["cpu"]) / gigabytes)
    print(f"100 MB over gRPC on loopback: {spread(rates, 1, 'GB/s')}, "
          f"{spread(costs, 1, 'CPU s/GB')}")
    for name, shared in (("shared memory", True), ("gRPC", False)):
        times = [measure("small", shared, 2000)[0]["seconds"] for _ in range(repeats)]
        print(f"4 KB one way, {name}: {spread(times, 1e6, 'us')}")
    ours, theirs = [], []
    for _ in range(repeats):
        ours += measure("sum", True, 40)[0]["seconds"]
        if torch_python:
            theirs += gloo(torch_python, 40)
    print(f"sum of 25 MB over two processes, shared memory: {spread(ours, 1e3, 'ms')}")
    if theirs:
        ratio = statistics.median(ours) / statistics.median(theirs)
        print(f"  torch.distributed, gloo: {spread(theirs, 1e3, 'ms')}; flowc / gloo {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--child")
    parser.add_argument("--me")
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--torch-python")
    given = parser.parse_args()
    if given.child:
        child(given.me, given.shared, given.child, given.rounds)
    else:
        report(given.torch_python, given.repeats)


if __name__ == "__main__":
    main()
