"""PBS, LSF and Flux: hooks and setups."""
