"""A task's annotations as they stand, human ones included, for the formats of `siaf.output.datasets`."""
