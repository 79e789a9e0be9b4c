"""Grid Engine and Open Cluster Scheduler: hooks, JSV, load sensor, and the setup."""
