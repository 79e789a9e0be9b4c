"""The rules of the interface, in groups; `qrmi.testing.contract` puts them together."""
