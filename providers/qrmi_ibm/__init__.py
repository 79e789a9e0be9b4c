"""IBM's resources: Quantum System (on premises) and Quantum Compute Service."""
