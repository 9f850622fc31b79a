"""The exit codes of `flowc`: those of sysexits.h where one fits."""

from __future__ import annotations

OK = 0
MISTAKE = 1  # the model or the data is wrong; to run it again changes nothing
USAGE = 2  # the command line is wrong
NO_INPUT = 66  # a file that was named is not there
UNAVAILABLE = 69  # something else has it, or a host does not answer: later it may work
BUG = 70  # flowc's own
CANNOT_CREATE = 73  # a folder or file that is to be written
IO = 74  # the disk: full, or failing
PREEMPTED = 75  # told to stop; a checkpoint is saved
PROTOCOL = 76  # a peer is another version, or no flowc at all
NOT_ALLOWED = 77  # a path outside of what the user allows
CONFIG = 78  # the cluster file is wrong, or would listen to everybody
INTERRUPTED = 130  # Ctrl-C
