"""Slurm: the hook, what jobs ask for, and the setup."""
