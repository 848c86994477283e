"""Changes: users, invitations, mappings, messages, e-KYCs and the vault; the only place that tells events."""
