"""What the handle costs: measured, not tested. Run it with ``python -m benchmarks``."""
