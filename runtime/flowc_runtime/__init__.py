"""What a worker needs to run a plan: types, ops, plans, devices, data, checkpoints."""
