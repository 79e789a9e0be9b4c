"""The doors of `qrmid`: HTTP on a UNIX socket or a port, and who is there."""
