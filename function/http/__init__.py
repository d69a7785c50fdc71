"""HTTP: requests, replies and errors, routes, and what bodies hold."""
