"""Secrets: where they come from, who may read them, how they stay out of every text."""
