"""Fair comparisons: one scan of the store trains and tests all methods, one row records each cell."""
