"""The process and its machine: errors, signals, memory, warnings, what the hardware computes natively."""
