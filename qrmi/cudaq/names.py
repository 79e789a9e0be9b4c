"""Names that the plug-in and the target share; imports nothing."""

from __future__ import annotations

__all__ = ["TARGET", "WRAPPED"]

TARGET = "qrmi"
"""What ``cudaq.set_target`` calls us."""

WRAPPED = "__qrmi_wraps__"
"""The attribute of our wrapper that holds CUDA-Q's own function."""
