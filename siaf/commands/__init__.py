"""The subcommands of `siaf`, one module each: arguments in, library calls, a printed result."""
