"""The vendors that are measured, and their canned answers."""

from __future__ import annotations

from benchmarks.beside.ibm import COMPUTE_SERVICE, QUANTUM_SYSTEM
from benchmarks.beside.others import FELIS, IQM, PASQAL_CLOUD
from benchmarks.beside.vendor import LARGE, LONG, Rule, Vendor

__all__ = ["LARGE", "LONG", "VENDORS", "Rule", "Vendor"]

VENDORS = (QUANTUM_SYSTEM, COMPUTE_SERVICE, PASQAL_CLOUD, IQM, FELIS)
"""Those that both libraries can run here (not `pasqal-local`, which needs MUNGE, nor `oqtopus`,
whose native part the Rust wheel lacks)."""
