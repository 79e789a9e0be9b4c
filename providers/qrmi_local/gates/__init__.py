"""Circuits on Qiskit Aer: what runs in the executor of gate tasks."""
