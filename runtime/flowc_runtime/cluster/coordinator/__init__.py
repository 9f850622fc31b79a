"""The coordinator: what it decides (a state machine), and the shell that does it."""
