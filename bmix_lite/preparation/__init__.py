"""From a folder, a table, an npz or boxes to a prepared dataset, with every fault in a report."""
