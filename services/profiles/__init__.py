"""Institutions and members: captured by a maker, screened for doubles, decided by a checker."""
