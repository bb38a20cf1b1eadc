"""A disposable mainline archive for tests: its files, its server, and bootable kernels."""
