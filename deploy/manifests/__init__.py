"""The Kubernetes manifests: overlays made from the states' files, and a check of all that they render to. See `--help`."""
