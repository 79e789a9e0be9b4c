"""What PBS, LSF and Flux need to lend QPUs: written for a site, and checked."""
