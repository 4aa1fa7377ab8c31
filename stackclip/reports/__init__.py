"""Rows as people read them: tables in every format, and charts."""
