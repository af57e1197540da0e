"""Runs: which one a command means, its directory, metrics table, results and environment."""
