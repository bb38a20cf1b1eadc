"""A throw-away mainline archive: its tree, its server, and kernels in it that really boot."""
