"""The layouts in which data sets lie in folders, one file each: whether a folder has it, and what its samples are."""
