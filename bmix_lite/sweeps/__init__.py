"""Grids of parameters run as notebooks, here or on a Dask cluster; `runs` says what is complete."""
