"""Our drivers beside the Rust package ``qrmi`` 0.26.4, against one canned loopback server."""
