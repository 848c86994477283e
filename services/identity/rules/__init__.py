"""Decides who may be a user, what a mapping sheet means, and when an e-KYC holds: pure functions and frozen dataclasses."""
