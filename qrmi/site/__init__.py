"""`qrmid`, the daemon that owns a site's quantum resources and lends them to jobs.

`terms` are its words, `leasing` is its policy, `store` its memory, `server` its doors.
"""
