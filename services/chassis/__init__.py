"""Wires: the processes, the mailbox, the database and the tokens. No word of the domain."""
