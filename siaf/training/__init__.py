"""Training of the two networks from synthetic clips and simulated interaction."""
