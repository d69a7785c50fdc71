"""Speed and memory, one table a command (`siaf bench`)."""
