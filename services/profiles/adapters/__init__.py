"""The outside: banks, their list of branches, the store of images."""
