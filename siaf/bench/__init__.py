"""Speed and memory, one table per command (`siaf bench`)."""
