"""The resource type ``pasqal-cloud``: Pasqal's devices and emulators behind its cloud."""
