"""A state's file: read whole, or refused with every fault in it."""

from datetime import date
from pathlib import Path

import pytest

from services.kernel.messages import TEMPLATES, Messages, Registered
from services.kernel.policies import RULES
from services.kernel.statefile import StateFileError, read
from services.kernel.states import STATE_LGD

ROOT = Path(__file__).parents[2]
SOUND = """
code = "UP"
name = "Uttar Pradesh"
lgd_code = 9
user_prefix = "IUP_"
languages = ["en", "hi"]
federation_levels = ["SHG", "VO", "CLF"]
size = "large"
"""
POLICY = "[[policies.loan_months_max]]\n"
MESSAGES = '[messages]\nsender_id = "LOKOSS"\nentity_id = "1001"\n'
TEXT = '[[messages.templates]]\ntemplate = "login_otp"\nlanguage = "hi"\ntemplate_id = "1007"\n'
STATES = sorted((ROOT / "deploy" / "states").glob("*.toml"))


@pytest.mark.parametrize("file", [*STATES, ROOT / "deploy" / "nation.toml"], ids=lambda file: file.stem)
def test_every_state_of_ours_is_sound(file):
    state = read(file.read_text(encoding="utf-8"), file.stem)
    assert state.is_nation == (file.stem == "nation")
    assert state.languages[0] == "en"


def test_all_states_that_take_part_are_there():
    assert {file.stem for file in STATES} == set(STATE_LGD) - {"CH", "DL"}
    assert len({read(file.read_text(encoding="utf-8"), file.stem).user_prefix for file in STATES}) == len(STATES)


def test_a_policy_holds_from_one_day_to_another_and_the_default_around_it():
    periods = POLICY + "value = 24\nfrom = 2025-04-01\nto = 2026-03-31\n" + POLICY + "value = 36\nfrom = 2026-10-01\n"
    policies = read(SOUND + periods, "UP").policies
    days = (date(2025, 3, 31), date(2025, 4, 1), date(2026, 3, 31), date(2026, 4, 1), date(2026, 10, 1), date(2036, 1, 1))
    default = RULES["loan_months_max"].default
    assert [policies.value("loan_months_max", day) for day in days] == [default, 24, 24, default, 36, 36]
    assert policies.value("loan_rate_basis_points_max", days[0]) == RULES["loan_rate_basis_points_max"].default


def test_a_state_says_which_texts_it_has_registered():
    own = TEXT.replace('"hi"', '"en"') + 'text = "{otp} {user_id}"'
    read_here = read(SOUND + MESSAGES + TEXT + own, "UP").messages
    assert (read_here.sender_id, read_here.entity_id) == ("LOKOSS", "1001")
    assert read_here.texts == {
        ("login_otp", "hi"): Registered("1007", TEMPLATES["login_otp"].texts["hi"]),
        ("login_otp", "en"): Registered("1007", "{otp} {user_id}"),
    }
    assert read(SOUND, "UP").messages == Messages()


WRONG = {
    "no TOML": ("code =", "no TOML"),
    "an unknown key": (SOUND + 'colour = "red"', "colour is no key"),
    "a missing key": (SOUND.replace('size = "large"', ""), "size is missing; it is one of small, medium, large"),
    "a code of no state": (SOUND.replace('"UP"', '"XX"'), "code is 'XX'"),
    "a code that is a list": (SOUND.replace('"UP"', '["UP"]'), "code is ['UP']"),
    "a code of another file": (SOUND.replace('"UP"', '"BR"').replace("= 9", "= 10"), "the file is called UP.toml"),
    "another state's LGD code": (SOUND.replace("= 9", "= 10"), "lgd_code is 10; of UP it is 9"),
    "a truth for a number": (SOUND.replace("= 9", "= true"), "lgd_code is True"),
    "a prefix in small letters": (SOUND.replace("IUP_", "iup_"), "user_prefix is 'iup_'"),
    "no language": (SOUND.replace('["en", "hi"]', "[]"), "languages is []"),
    "a language twice": (SOUND.replace('["en", "hi"]', '["en", "en"]'), "each once"),
    "a list in a list": (SOUND.replace('["en", "hi"]', '[["en"]]'), "each once"),
    "a level left out": (SOUND.replace('"SHG", "VO", "CLF"', '"SHG", "CLF"'), "without a gap"),
    "an unknown policy": (SOUND + "[[policies.tea]]\nvalue = 1\nfrom = 2026-04-01", "policies.tea is no policy"),
    "policies that are no table": (SOUND + "policies = 3", "policies must be a table"),
    "a policy that is no list": (SOUND + "[policies]\nloan_months_max = 3", "once a period"),
    "a policy of bare numbers": (SOUND + "[policies]\nloan_months_max = [3]", "must be a table"),
    "a policy beyond its bounds": (SOUND + POLICY + "value = 121\nfrom = 2026-04-01", "from 1 to 120"),
    "a float": (SOUND + POLICY + "value = 12.0\nfrom = 2026-04-01", "a whole number"),
    "a date as text": (SOUND + POLICY + 'value = 12\nfrom = "2026-04-01"', "without quotes"),
    "a date with a time": (SOUND + POLICY + "value = 12\nfrom = 2026-04-01T00:00:00", "must be a date"),
    "no beginning": (SOUND + POLICY + "value = 12", "from is None"),
    "an end before the beginning": (SOUND + POLICY + "value = 12\nfrom = 2026-04-01\nto = 2026-03-31", "before its from"),
    "an unknown key of a policy": (SOUND + POLICY + "value = 12\nfrom = 2026-04-01\nuntil = 2026-05-01", "until is no key"),
    "two periods with a day in common": (
        SOUND + POLICY + "value = 12\nfrom = 2026-04-01\nto = 2026-05-01\n" + POLICY + "value = 24\nfrom = 2026-05-01",
        "overlaps the one from 2026-05-01",
    ),
    "a period after one without an end": (
        SOUND + POLICY + "value = 12\nfrom = 2026-04-01\n" + POLICY + "value = 24\nfrom = 2027-04-01",
        "without an end overlaps",
    ),
    "messages that are no table": (SOUND + "messages = 3", "messages must be a table"),
    "an unknown key of messages": (SOUND + MESSAGES + "colour = 3", "messages.colour is no key"),
    "a sender id of five letters": (SOUND + MESSAGES.replace("LOKOSS", "LOKOS"), "messages.sender_id is 'LOKOS'"),
    "no entity id": (SOUND + MESSAGES.replace('entity_id = "1001"', ""), "messages.entity_id is ''"),
    "an entity id without quotes": (SOUND + MESSAGES.replace('"1001"', "1001"), "messages.entity_id is 1001"),
    "texts that are no list": (SOUND + MESSAGES + "templates = 3", "once a text"),
    "a text that is no table": (SOUND + MESSAGES + "templates = [3]", "templates[0] must be a table"),
    "an unknown template": (SOUND + MESSAGES + TEXT.replace("login_otp", "tea"), "must be one of login_otp"),
    "a template that is a list": (SOUND + MESSAGES + TEXT.replace('"login_otp"', '["login_otp"]'), "must be one of login_otp"),
    "a language of another state": (SOUND + MESSAGES + TEXT.replace('"hi"', '"ml"'), "language is 'ml'"),
    "a template id that is none": (SOUND + MESSAGES + TEXT.replace('"1007"', '"१००७"'), "template_id is '१००७'"),
    "an unknown key of a text": (SOUND + MESSAGES + TEXT + "colour = 3", "templates[0].colour is no key"),
    "a text registered twice": (SOUND + MESSAGES + TEXT + TEXT, "login_otp in hi is registered twice"),
    "a text with an unknown place": (SOUND + MESSAGES + TEXT + 'text = "{otp} {user_id} {name}"', "has {name}, which is no place of it"),
    "a text that lacks a place": (SOUND + MESSAGES + TEXT + 'text = "{otp}"', "lacks {user_id}"),
    "a text with a format": (SOUND + MESSAGES + TEXT + 'text = "{otp:>9} {user_id}"', "braces that hold no place"),
    "a text that looks into a place": (SOUND + MESSAGES + TEXT + 'text = "{otp.real} {user_id}"', "braces that hold no place"),
    "a text with half a brace": (SOUND + MESSAGES + TEXT + 'text = "{otp} {user_id"', "braces that hold no place"),
    "a text that is a number": (SOUND + MESSAGES + TEXT + "text = 3", "must be a text"),
    "no text of ours": (
        SOUND.replace('"hi"]', '"hi", "ml"]') + MESSAGES + TEXT.replace('"hi"', '"ml"'),
        "there is no text of ours in this language",
    ),
    "a state's key in the nation's file": ('code = "IN"\nname = "India"\nuser_prefix = "IIN_"\nlanguages = ["en"]\nsize = "small"', "size is no key"),
}


@pytest.mark.parametrize(("text", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(text, says):
    with pytest.raises(StateFileError) as refused:
        read(text, "UP")
    assert says in str(refused.value)


def test_all_faults_are_told_at_once():
    with pytest.raises(StateFileError) as refused:
        read(SOUND.replace('"large"', '"huge"').replace("= 9", '= "nine"') + 'colour = "red"', "UP")
    assert len(refused.value.faults) == 3
