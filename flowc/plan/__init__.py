"""Graph to Plan: order, memory, emission."""
