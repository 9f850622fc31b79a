"""`python -m flowc_runtime.cluster.simulator SEED [COUNT]`: runs from a seed on, each told of."""

from __future__ import annotations

import sys

from flowc_runtime.cluster.simulator import Report, simulate


def main(first: int, count: int) -> None:
    for seed in range(first, first + count):
        tell(simulate(seed))


def tell(report: Report) -> None:
    print(
        f"seed {report.seed}: {report.steps} steps, {report.generations} generations, "
        f"{report.virtual_seconds:.1f} s of virtual time"
    )
    for fault in report.faults:
        print(f"  {fault.at:6.2f} s  {fault.kind} {fault.task}, {fault.seconds:.1f} s")
    for notice in report.notices:
        print(f"  {notice}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
