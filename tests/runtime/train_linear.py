"""A process to kill: trains the little model, telling each event as a line of JSON.

`python train_linear.py FOLDER STEPS [--resume]`
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from linear_steps import BATCH, LinearSteps, linear_data, linear_plan

from flowc_runtime.events import Event
from flowc_runtime.runfolder import RunFacts, create_run, reopen_run
from flowc_runtime.training import Signals, TrainOptions, WholeBatch, resume, train

SEED = 5


def tell(event: Event) -> None:
    print(json.dumps(event.to_json()), flush=True)


def main(folder: Path, total_steps: int, again: bool) -> int:
    plan = linear_plan({"train": BATCH, "evaluate": BATCH})
    steps = LinearSteps(plan)
    options = TrainOptions(total_steps, SEED, log_every=1, checkpoint_every=2)
    facts = RunFacts("line", (), "", SEED, datetime(2026, 1, 2, tzinfo=UTC))
    with reopen_run(folder) if again else create_run(facts, "{}", {}, folder) as run:
        progress = resume(run, plan, steps, tell) if again else None
        data, validation = linear_data(30, SEED), linear_data(8, 0, shuffle=False)
        with Signals() as stop:
            end = train(
                plan, steps, WholeBatch(steps, data, SEED), data, validation, options, run, tell,
                stop, progress)
    return end.exit_code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), "--resume" in sys.argv))
