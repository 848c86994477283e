"""The nation asks the states and adds up. Knows no service's inside, holds no member's record."""
