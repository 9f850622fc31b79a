"""Naming what is wrong with a cluster plan."""

from __future__ import annotations

from collections.abc import Mapping

from flowc_runtime.plan import PlanError

PROMISES: Mapping[str, str] = {
    "too-large": "parts and channels can be looked at in reasonable time",
    "no-role": "every part plays a role of its own that tasks can have",
    "uneven-shards": "a batch is cut into shards of equal size, at least one a replica",
    "channel-twice": "every channel has a name of its own",
    "unknown-role": "a channel's ends are roles of the plan",
    "payload-overlap": "tensors of a payload lie in it, one beside the other",
    "tensor-mismatch": "what is sent is what its producer makes and its consumer takes",
    "unknown-channel": "a stop is at a channel of the plan that the role sends or receives",
    "out-of-order": "stops stand in the order of their positions",
    "sent-twice": "a channel is sent at one place",
    "received-twice": "a channel is received at one place, and a tensor by one channel",
    "send-without-receive": "what is sent is received",
    "receive-without-send": "what is received is sent",
    "sent-too-early": "a payload is sent when the last of it is written",
    "received-too-late": "a payload is received before the first of it is read",
    "owned-twice": "a variable is updated by one role",
    "owned-by-nobody": "a gradient goes to whoever updates its variable",
    "input-missing": "every input of a step's programs is a field of the data, or sent",
    "stale-variable": "who computes with a variable that changes gets its new values",
    "no-ps": "the way in which gradients meet has the roles that it needs",
    "deadlock": "no task waits for one that waits for it",
}


class BrokenPromise(PlanError):
    """`code` is one of PROMISES; the message says where it is broken."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{message} ({code}: {PROMISES[code]})")
        self.code = code


def need(held: bool, code: str, message: str) -> None:
    if not held:
        raise BrokenPromise(code, message)
