"""The benchmarks of `scripts/benchmark.py`, each with a function `measure`. No other package imports them."""
