"""Payloads between tasks: shared memory on one machine, gRPC streams between machines."""
