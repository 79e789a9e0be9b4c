"""Hooks of the schedulers: thin, killable clients of `qrmid`. The standard library only."""
