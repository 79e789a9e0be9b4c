"""What a Slurm needs to lend QPUs: written for a site, and checked."""
