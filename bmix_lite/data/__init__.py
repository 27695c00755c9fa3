"""Images, labels, groups and splits as arrays: `ImageSet`, prepared folders, the built-in sets."""
