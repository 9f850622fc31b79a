"""Where the seconds of a step go: its instructions timed on this machine, beside what it can do."""
