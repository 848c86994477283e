"""Decides: what a place, an institution and a member must be, which revision follows which, and what a checker may do."""
