"""IBM Quantum System: resource type ``ibm-quantum-system``."""
