"""Tools under the upstream library's module paths."""
