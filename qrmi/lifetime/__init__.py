"""What a process holds, and what becomes of it on every way out: leases, tasks, signals."""
