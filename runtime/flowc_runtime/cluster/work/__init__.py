"""What a task does in a step: its table of operations, the sums over shards, and what runs them."""
