"""A saved session in the formats that other programs read."""
