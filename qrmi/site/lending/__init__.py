"""Leases: asked for, held, fenced, given back, whatever is killed in between."""
