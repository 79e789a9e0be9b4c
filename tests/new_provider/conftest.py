"""The distribution's own tests run in the environment that it is installed in, not in this one."""

collect_ignore = ["abacus"]
