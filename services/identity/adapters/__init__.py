"""The outside: the e-KYC provider, the SMS gateway, the mail server."""
