"""What must hold of a meeting and of the books, whoever asks and wherever they are kept."""
