"""Changes institutions and members, and tells of each change; one function a change."""
