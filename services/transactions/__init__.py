"""The books: meetings stored once as lines of one debit and one credit, made final when approved."""
