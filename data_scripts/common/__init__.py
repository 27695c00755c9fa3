"""What every script here does: fetch, check, unpack, prepare."""
