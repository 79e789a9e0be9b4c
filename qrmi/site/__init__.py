"""`qrmid`, the daemon that owns a site's quantum resources and lends them to jobs.

`terms` are its words and `assembly` puts it together: `doors` let requests in, `lending` has the
leases, `gateway` runs tasks with the site's credentials, `watching` sees what is away, and `books`
say what was used. `client` and `driver` are the other end.
"""
