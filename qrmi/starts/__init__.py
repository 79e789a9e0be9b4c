"""Starting a task exactly once: keys, claims, lost answers, starts that a killed process left."""
