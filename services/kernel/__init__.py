"""Words: what every service means by region, month, paise, name and refusal. Standard library only."""
