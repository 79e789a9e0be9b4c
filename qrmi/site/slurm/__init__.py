"""What the site's daemon says to Slurm, and asks it: with Slurm's own commands."""
