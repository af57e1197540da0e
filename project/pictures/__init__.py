"""Pictures of a run: functions from arrays to a matplotlib Figure, one module for each picture."""
