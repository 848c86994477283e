"""States and Union Territories: the two letters of each instance, and its LGD code (domain 1.3)."""

from types import MappingProxyType

# Frozen: a new state comes with a new version. LGD 25 and 26 are retired, merged into 38. Delhi and Chandigarh are
# outside DAY-NRLM today, and listed because their codes are taken.
STATE_LGD = MappingProxyType(
    {
        "JK": 1,
        "HP": 2,
        "PB": 3,
        "CH": 4,
        "UK": 5,
        "HR": 6,
        "DL": 7,
        "RJ": 8,
        "UP": 9,
        "BR": 10,
        "SK": 11,
        "AR": 12,
        "NL": 13,
        "MN": 14,
        "MZ": 15,
        "TR": 16,
        "ML": 17,
        "AS": 18,
        "WB": 19,
        "JH": 20,
        "OD": 21,
        "CG": 22,
        "MP": 23,
        "GJ": 24,
        "MH": 27,
        "AP": 28,
        "KA": 29,
        "GA": 30,
        "LD": 31,
        "KL": 32,
        "TN": 33,
        "PY": 34,
        "AN": 35,
        "TS": 36,
        "LA": 37,
        "DN": 38,
    },
)
