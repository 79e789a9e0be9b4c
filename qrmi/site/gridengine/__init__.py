"""What the site's daemon says to Grid Engine, and asks it: with Grid Engine's own commands."""
