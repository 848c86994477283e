"""Identity: users and their tokens, and the only place that ever sees an Aadhaar number."""
