"""The processes that keep and run tasks, and the files and connections between them."""
