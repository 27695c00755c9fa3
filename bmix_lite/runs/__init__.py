"""The run folder and its ledger: a run is complete or is not, and that is decided here, once."""
