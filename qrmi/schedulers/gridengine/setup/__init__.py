"""What a Grid Engine needs to lend QPUs: written for a site, and checked."""
