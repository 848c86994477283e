"""Ports to what dedup does not do itself: Splink on DuckDB, which is not in the services' own environment."""
