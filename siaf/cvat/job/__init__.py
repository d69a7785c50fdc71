"""A job: its frames, labels and shapes, and what siaf noted of it."""
