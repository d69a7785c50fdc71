"""Where a job's session lives: in this process, in a function, in a function behind CVAT."""
