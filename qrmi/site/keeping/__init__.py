"""SQLite files of the daemon: what is written is on disk before anybody acts on it."""
