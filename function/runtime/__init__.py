"""The process: time between requests, memory, time limits, metrics."""
