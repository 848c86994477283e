"""The five services of a state, and the kernel and chassis that they share."""
