"""Statistics that every comparison shares: centring, intervals, tests. Plain NumPy, no torch."""
