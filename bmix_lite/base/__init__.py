"""What everything stands on: errors in words, files, locks, random streams, registers, notebook files."""
