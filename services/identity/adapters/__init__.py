"""The outside: the e-KYC provider."""
