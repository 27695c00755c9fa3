"""Grids of parameters run as papermill notebooks, here or on a Dask cluster."""
