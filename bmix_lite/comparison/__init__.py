"""From complete runs to tables, intervals and verdicts."""
