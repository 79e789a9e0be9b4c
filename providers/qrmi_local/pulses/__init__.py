"""Pulse sequences on Pulser's simulation: what runs in the executor of analog tasks."""
