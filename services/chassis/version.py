"""The version of this code, as instances tell it to each other."""

VERSION = "0.1.0"
