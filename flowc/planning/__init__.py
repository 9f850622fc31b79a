"""Plans before anything runs: compiled for a cluster, predicted, compared, and calibrated for."""
