"""Notebooks and runs as pages that need neither a kernel nor a network."""
