"""The run folder and its ledger; whether a run is complete is decided in `complete`."""
