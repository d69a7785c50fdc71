"""CVAT's server: requests, what its answers must hold, faults, webhooks."""
