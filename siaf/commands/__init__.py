"""The subcommands of `siaf`, one module each. It reads arguments, calls the library and prints the result."""
