"""The contracts, and the code that `make protos` makes of them."""
