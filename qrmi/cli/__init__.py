"""The ``qrmi`` command: one file a group of commands."""
