"""What everything stands on: errors, files, locks, random streams, registers, notebook files."""
