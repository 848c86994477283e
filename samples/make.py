#!/usr/bin/env python3
"""Write the sample sheets beside this file: .venv/bin/python samples/make.py

Everybody in them is invented. samples/README.md says what each row is there for.
"""

from datetime import date
from pathlib import Path
from typing import Any

import openpyxl

HERE = Path(__file__).parent
Rows = list[list[Any]]

INSTITUTIONS = ["Kind", "Name", "Local name", "Region", "Formed on", "Parent", "Compulsory savings (₹)"]
MEMBERS = [
    *("SHG", "Village", "Name", "Local name", "Gender", "Date of birth", "Birth year", "Relation", "Relation name", "Social category"),
    *("Mobile", "Account number", "IFSC", "Account holding", "Joined on"),
]
BOOKKEEPERS = [
    *("User ID", "Bookkeeper name", "Mobile", "Role", "Gram Panchayat", "Village"),
    *("SHGs (to be assigned)", "VO (to be assigned)", "CLF (to be assigned)"),
]

UP_IFSC, BR_IFSC = "ZZZZ0KLD001", "ZZZZ0FTH001"  # Of no bank.


def up_institutions() -> Rows:
    return [
        ["CLF", "Khalilabad Mahila Sankul", "खलीलाबाद महिला संकुल", 1504, date(2021, 8, 16), "", 0],
        ["VO", "Pragati Gram Sangathan", "प्रगति ग्राम संगठन", 999011, date(2022, 1, 12), "Khalilabad Mahila Sankul", 0],
        ["SHG", "Roshni", "रोशनी", 999111, date(2022, 6, 3), "Pragati Gram Sangathan", 50],
        ["SHG", "Ujala", "उजाला", 999111, date(2023, 4, 14), "Pragati Gram Sangathan", 100],
    ]


def br_institutions() -> Rows:
    return [
        ["CLF", "Fatuha Mahila Sankul", "फतुहा महिला संकुल", 1956, date(2020, 11, 5), "", 0],
        ["VO", "Sangam Gram Sangathan", "संगम ग्राम संगठन", 998011, date(2021, 3, 9), "Fatuha Mahila Sankul", 0],
        ["SHG", "Deepak", "दीपक", 998111, date(2022, 9, 21), "Sangam Gram Sangathan", 60],
    ]


JOINED = {"Roshni": date(2022, 6, 3), "Ujala": date(2023, 4, 14), "Deepak": date(2022, 9, 21)}


def _member(shg: str, name: str, local: str, born: date | int, relation: str, category: str, phone_and_account: int = 0) -> list[Any]:
    """One row; a birth year where `born` is a number, and no phone or account where that number is 0."""
    village, ifsc = (998111, BR_IFSC) if shg == "Deepak" else (999111, UP_IFSC)
    kind, _, relation_name = relation.partition(" ")
    born_on, birth_year = (born, "") if isinstance(born, date) else ("", born)
    mobile = f"6000{phone_and_account:06}" if phone_and_account else ""
    account = [f"1000200{phone_and_account:06}", ifsc, "Single"] if phone_and_account else ["", "", ""]
    return [shg, village, name, local, "Female", born_on, birth_year, kind, relation_name, category, mobile, *account, JOINED[shg]]


def up_members() -> Rows:
    return [
        _member("Roshni", "Sunita Devi", "सुनीता देवी", 1985, "Spouse Ramesh Kumar", "OBC", 917401),
        _member("Roshni", "Phoolmati Nishad", "फूलमती निषाद", 1979, "Spouse Ramdhani Nishad", "SC", 917402),
        _member("Roshni", "Kiran Chauhan", "किरण चौहान", date(1991, 3, 8), "Spouse Surendra Chauhan", "OBC", 917403),
        _member("Roshni", "Shahnaz Begum", "शहनाज़ बेगम", date(1988, 11, 23), "Spouse Iqbal Ahmad", "OBC", 917404),
        _member("Roshni", "Bimla Pandey", "बिमला पाण्डेय", 1968, "Spouse Harihar Pandey", "Other", 917405),
        _member("Roshni", "Jyoti Gautam", "ज्योति गौतम", date(1999, 7, 2), "Father Chhedi Lal", "SC", 917406),
        # The same woman as Roshni's first: her e-KYC number will say so.
        _member("Ujala", "Suneeta Devi", "सुनीता देवी", 1985, "Spouse Ramesh Kumar", "OBC", 917501),
        # Another woman than Roshni's second, though the officer must look twice.
        _member("Ujala", "Phulmati Nishad", "फूलमती निषाद", 1979, "Father Ramdhan Nishad", "SC"),
        # A slip of the pen, to be handed back and mended.
        _member("Ujala", "Mamta Dvei", "ममता देवी", date(1994, 2, 17), "Spouse Vinod Sharma", "Other", 917503),
        _member("Ujala", "Geeta Yadav", "गीता यादव", date(1987, 9, 30), "Spouse Awadhesh Yadav", "OBC", 917504),
        _member("Ujala", "Rukhsana Khatoon", "रुख़साना ख़ातून", 1983, "Spouse Salim Ansari", "OBC", 917505),
        _member("Ujala", "Poonam Gupta", "पूनम गुप्ता", date(1996, 12, 5), "Spouse Dinesh Gupta", "OBC", 917506),
        _member("Ujala", "Lakshmi Kannaujiya", "लक्ष्मी कनौजिया", 1975, "Spouse Bhola Prasad", "SC", 917507),
        _member("Ujala", "Anita Maurya", "अनीता मौर्य", date(1990, 5, 19), "Spouse Jagdish Maurya", "OBC", 917508),
        _member("Ujala", "Urmila Tiwari", "उर्मिला तिवारी", 1971, "Spouse Keshav Tiwari", "Other", 917509),
        _member("Ujala", "Neelam Rajbhar", "नीलम राजभर", date(1998, 8, 27), "Father Tilak Rajbhar", "OBC", 917510),
        _member("Ujala", "Chandrawati Gond", "चन्द्रावती गोंड", 1966, "Spouse Mahadev Gond", "ST", 917511),
        _member("Ujala", "Vandana Srivastava", "वन्दना श्रीवास्तव", date(1993, 1, 11), "Spouse Prakash Srivastava", "Other", 917512),
        # Refused: nobody is born in the future.
        _member("Ujala", "Usha Verma", "उषा वर्मा", 2091, "Spouse Gopal Verma", "OBC", 917513),
    ]


def br_members() -> Rows:
    return [
        _member("Deepak", "Rinku Kumari", "रिंकू कुमारी", date(1997, 4, 3), "Spouse Amit Paswan", "SC", 918601),
        _member("Deepak", "Sabina Khatun", "सबीना ख़ातून", 1986, "Spouse Naushad Alam", "OBC", 918602),
        _member("Deepak", "Malti Devi", "मालती देवी", 1974, "Spouse Bachcha Rai", "OBC", 918603),
        _member("Deepak", "Pramila Sinha", "प्रमिला सिन्हा", date(1989, 10, 14), "Spouse Uday Sinha", "Other", 918604),
        _member("Deepak", "Lalita Manjhi", "ललिता मांझी", 1992, "Father Gariban Manjhi", "SC", 918605),
        _member("Deepak", "Khushboo Kushwaha", "ख़ुशबू कुशवाहा", date(2000, 6, 25), "Spouse Nitish Kushwaha", "OBC", 918606),
    ]


def up_bookkeepers() -> Rows:
    gp, village = 999011, 999111
    vo, clf = "Pragati Gram Sangathan", "Khalilabad Mahila Sankul"
    return [
        ["IUP_SAKHI1", "Archana Mishra", "6000917001", "SHG Bookkeeper", gp, village, "Roshni; Ujala", "", ""],
        ["IUP_VOBK1", "Archana Mishra", "6000917001", "VO Bookkeeper", gp, "", "", vo, ""],
        ["IUP_CLFBK1", "Kavita Dubey", "6000917002", "CLF Bookkeeper", gp, "", "", "", clf],
        ["IUP_SHGAPP1", "Madhuri Singh", "6000917003", "SHG Trans Approver", gp, "", "", vo, ""],
        # Refused: there is no such SHG.
        ["IUP_SAKHI2", "Sarita Rai", "6000917004", "SHG Bookkeeper", gp, village, "Ujaala Nayi", "", ""],
    ]


def br_bookkeepers() -> Rows:
    gp, village = 998011, 998111
    vo, clf = "Sangam Gram Sangathan", "Fatuha Mahila Sankul"
    return [
        ["IBH_JEEVIKA1", "Ranjana Kumari", "6000918001", "SHG Bookkeeper", gp, village, "Deepak", "", ""],
        ["IBH_VOBK1", "Nutan Prasad", "6000918002", "VO Bookkeeper", gp, "", "", vo, ""],
        ["IBH_CLFBK1", "Veena Thakur", "6000918003", "CLF Bookkeeper", gp, "", "", "", clf],
        ["IBH_SHGAPP1", "Sudha Jha", "6000918004", "SHG Trans Approver", gp, "", "", vo, ""],
    ]


SHEETS = {
    "institutions_up": (INSTITUTIONS, up_institutions),
    "institutions_br": (INSTITUTIONS, br_institutions),
    "members_up": (MEMBERS, up_members),
    "members_br": (MEMBERS, br_members),
    "bookkeepers_up": (BOOKKEEPERS, up_bookkeepers),
    "bookkeepers_br": (BOOKKEEPERS, br_bookkeepers),
}


def main() -> None:
    for name, (columns, rows) in SHEETS.items():
        book = openpyxl.Workbook()
        sheet = book.worksheets[0]
        for row in (columns, *rows()):
            sheet.append(row)
        book.save(HERE / f"{name}.xlsx")


if __name__ == "__main__":
    main()
