"""What jobs used of the site's resources: ledger, sums, metrics."""
