"""Plain functions that more than one floor needs; no state, no devices of their own."""
