"""`fundus_toy`: drawn retinas with graded lesions, not real."""
