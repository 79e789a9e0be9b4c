"""The driver interface as plain data: its verbs, values and errors, for files and for wires."""
