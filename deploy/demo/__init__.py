"""The story that `make demo` plays against a running machine, and the client that plays it."""
