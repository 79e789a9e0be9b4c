"""Tasks of jobs, run with the credentials of the site, which jobs never see."""
