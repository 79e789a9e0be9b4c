"""Pasqal's devices: behind its cloud (``pasqal-cloud``) and on site behind Warden."""
