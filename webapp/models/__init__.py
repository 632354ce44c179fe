"""The tables: one file a concept."""
