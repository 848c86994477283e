"""Changes: users, invitations, mappings, e-KYCs and the vault; the only place that tells events."""
