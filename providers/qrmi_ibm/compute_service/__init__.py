"""IBM's compute service, and its deprecated alias: one driver, two families of settings."""
