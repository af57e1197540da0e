"""What `scripts/benchmark.py` measures: one module a claim. Nothing else of the project imports these."""
