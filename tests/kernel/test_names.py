"""Spellings of one name meet in its keys; other names do not."""

import csv
import unicodedata
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests import bench_names
from services.kernel.errors import Invalid
from services.kernel.names import (
    KEYED_LENGTH_MAX,
    NAME_LENGTH_MAX,
    NORMALISER_VERSION,
    NameKey,
    clean_name,
    fold,
    name_key,
    skeleton,
    sound,
    to_latin,
)

ONE_NAME = [
    ("Sunita", "Suneeta"),
    ("Sunita", "Sunitha"),
    ("Gita", "Geetha"),
    ("Vimla", "Bimala"),
    ("Lakshmi", "Laxmi"),
    ("Lakshmi", "Lachhmi"),
    ("Yashoda", "Jasoda"),
    ("Phulmati", "Fulmati"),
    ("Saraswati", "Sarasvathi"),
    ("Parvati", "Parbati"),
    ("Zubaida", "Jubeda"),
    ("Ayesha", "Aisha"),
    ("Fatima", "Fatimah"),
    ("Shakuntala", "Sakuntla"),
    ("Krishna", "Krushna"),
    ("Chowdhury", "Chaudhari"),
    ("Pushpa", "Puspa"),
    ("Gyanti", "Jnanti"),
    ("Champa", "Chanpa"),
    ("Mamta", "Mamata"),
    ("Priya", "Pria"),
    ("Kanimozhi", "Kanimoli"),
    ("Vijay", "Bijoy"),
    ("Urmila", "Oormila"),
    ("Sandhya", "Sandhiya"),
    ("Rameshwari", "Ramesvari"),
    ("Jamuna", "Yamuna"),
    ("Siddhi", "Sidhi"),
]
TWO_NAMES = [
    ("Usha", "Asha"),
    ("Sunita", "Sangita"),
    ("Rekha", "Radha"),
    ("Kamla", "Vimla"),
    ("Anita", "Vinita"),
    ("Shanti", "Sati"),
    ("Pushpa", "Pooja"),
    ("Isha", "Usha"),
    ("Savitri", "Savita"),
    ("Rani", "Rahi"),
]
# One name in each of the nine scripts that share a table.
SCRIPTS = ["सुनीता", "সুনীতা", "ਸੁਨੀਤਾ", "સુનીતા", "ସୁନୀତା", "சுனிதா", "సునీత", "ಸುನೀತಾ", "സുനിത"]
# Where Hindi writes vowels that nobody says, and where it says them.
SILENT = [
    ("कमला", "kamla"),
    ("रमेश", "ramesh"),
    ("सरस्वती", "sarasvati"),
    ("कृष्णा", "krishna"),
    ("चन्द्र", "chandra"),
    ("विजय", "vijay"),
    ("ओम", "om"),
    ("असमा", "asma"),
    ("ज़ुबैदा", "zubaida"),
    ("चौधरी", "chaudhri"),
    ("राधा", "radha"),
]


@pytest.mark.parametrize(("one", "other"), ONE_NAME)
def test_spellings_of_one_name_meet(one, other):
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(("one", "other"), TWO_NAMES)
def test_two_names_do_not_meet(one, other):
    assert skeleton(one) != skeleton(other)
    assert fold(one) != fold(other)


@pytest.mark.parametrize("written", SCRIPTS)
def test_one_table_serves_nine_scripts(written):
    assert fold(written) == fold("Sunita")
    assert skeleton(written) == skeleton("Suneeta")


@pytest.mark.parametrize(("written", "said"), SILENT)
def test_only_what_is_said_is_written(written, said):
    assert to_latin(written) == said


def test_a_script_without_a_table_meets_itself():
    assert fold("සුනීතා") == fold("සුනීතා") != fold("ගීතා")


def test_the_fold_keeps_the_vowels():
    assert fold("Suneeta") == fold("Sunita") == "sunita"
    assert fold("Meena") == "mina" != fold("Mona")
    assert skeleton("Meena") == skeleton("Mona")  # Two consonants say little: the rules weigh that.


@pytest.mark.parametrize(
    "name", ["Suneeta Devi", "Smt. Sunita Devi", "SUNITADEVI", "sunita  devi", "श्रीमती सुनीता देवी", "W/o Sunita Devi", "Sunita-Devi"]
)
def test_titles_are_split_off(name):
    assert name_key(name) == NameKey("devi", "sunita", "snt")


@pytest.mark.parametrize(
    ("name", "title", "folded"),
    [
        ("Rani Devi", "devi", "rani"),
        ("Kumari", "", "kumari"),
        ("Smt Devi", "", "devi"),
        ("Shabana Khatoon", "khatoon", "shabana"),
        ("Lakshmi Bai", "bai", "lakshmi"),
        ("Mohd. Salim", "", "salim"),
        ("Sunita Sharma", "", "sunita sharma"),
        ("K. Lakshmi", "", "lakshmi k"),
        ("D'Souza", "", "dsoza"),
        ("Rani Yadav", "", "rani yadav"),
        ("Kumari Sunita", "kumari", "sunita"),
        ("K. Kumari", "", "kumari k"),
        ("Sridevi", "", "sridevi"),
        ("Mohammad", "", "mohamad"),
        ("Sunita Devi Yadav", "devi", "sunita yadav"),
        ("Sunitaदेवी", "devi", "sunita"),
        ("", "", ""),
        (".", "", ""),
    ],
)
def test_a_title_is_a_name_where_nothing_else_is_there(name, title, folded):
    assert (name_key(name).title, name_key(name).fold) == (title, folded)


def test_a_surname_does_not_hide_the_first_name():
    assert name_key("Sunita Sharma").first == name_key("Suneeta Devi").first == "snt"


@pytest.mark.parametrize("written", ["़", "्", "ा", "क््", "कााा", "़़क", "ं", "\u200d", "क\u200dष"])
def test_marks_out_of_place_do_no_harm(written):
    assert isinstance(skeleton(written), str)


# How each script writes a title, and what it is told as.
TITLED = [
    ("श्रीमती सुनीता देवी", "devi", "sunita"),
    ("कु. सुनीता", "", "sunita"),
    ("सौ. सुनीता बाई", "bai", "sunita"),
    ("स्व. रामलाल", "", "ramlal"),
    ("শ্রীমতী গীতা দেবী", "devi", "gita"),
    ("মোছাঃ রাবেয়া বেগম", "begum", "rabeya"),
    ("রাবেয়া খাতুন", "khatoon", "rabeya"),
    ("ਬਲਜੀਤ ਕੌਰ", "kaur", "baljit"),
    ("શ્રીમતી ગીતાબેન", "ben", "gita"),
    ("ଶ୍ରୀମତୀ ଗୀତା ଦେବୀ", "devi", "gita"),
    ("திருமதி லட்சுமி அம்மாள்", "ammal", "lakshmi"),
    ("சாந்தி தேவி", "devi", "santi"),
    ("శ్రీమతి లక్ష్మి కుమారి", "kumari", "lakshmi"),
    ("ಶ್ರೀಮತಿ ಗೀತಾ ಬಾಯಿ", "bai", "gita"),
    ("ശ്രീമതി മറിയം ബീവി", "bibi", "mariam"),
    ("محترمہ شبانہ خاتون", "khatoon", "shabana"),
    ("شبانہ بیگم", "begum", "shabana"),
    ("بی بی فاطمہ", "bibi", "fatima"),
    ("Bibi Fatima", "bibi", "fatima"),
]


@pytest.mark.parametrize(("name", "title", "folded"), TITLED)
def test_titles_are_split_off_in_the_scripts_themselves(name, title, folded):
    assert (name_key(name).title, name_key(name).fold) == (title, folded)


# What Urdu leaves unwritten, and what one of its letters may stand for.
@pytest.mark.parametrize(
    ("written", "spelt"),
    [
        ("شبانہ", "Shabana"),
        ("زرینہ", "Zarina"),
        ("خاتون", "Khatoon"),
        ("پھول", "Phool"),
        ("جہاں", "Jahan"),
        ("نور", "Noor"),
        ("انور", "Anwar"),
        ("پروین", "Parveen"),
        ("یاسمین", "Yasmin"),
        ("اقبال", "Iqbal"),
        ("عمر", "Umar"),
        ("عائشہ", "Ayesha"),
        ("سلمیٰ", "Salma"),
        ("شاہ", "Shah"),
        ("ﺷﺒﺎﻧﮧ", "Shabana"),  # As old programs store it, shape by shape.
        ("شبانة", "Shabana"),
        ("کريم", "Karim"),
    ],
)
def test_urdu_meets_the_latin_spelling(written, spelt):
    assert skeleton(written) == skeleton(spelt)


def test_ol_chiki_and_meetei_mayek_have_tables():
    assert fold("ᱥᱩᱱᱤᱛᱟ") == fold("ꯁꯨꯅꯤꯇꯥ") == fold("Sunita")


# --- The coarse skeleton, which a caller asks for.


@pytest.mark.parametrize(
    ("written", "spelt"), [("கீதா", "Geetha"), ("தேவி", "Devi"), ("பானுமதி", "Banumathi"), ("சந்திரா", "Chandra"), ("Thanalakshmi", "Dhanalakshmi")]
)
def test_the_coarse_skeleton_hears_hard_and_soft_alike(written, spelt):
    assert skeleton(written) != skeleton(spelt)
    assert skeleton(written, coarse=True) == skeleton(spelt, coarse=True)
    assert name_key(written, coarse=True).skeleton == name_key(spelt, coarse=True).skeleton
    assert name_key(written, coarse=True).fold == name_key(written).fold


def test_who_asks_for_one_skeleton_does_not_change_the_other():
    before = name_key("Geetha Devi"), skeleton("Geetha")
    assert name_key("Geetha Devi", coarse=True).skeleton == skeleton("Geetha", coarse=True) == "kt"
    assert (name_key("Geetha Devi"), skeleton("Geetha")) == before


def test_what_meets_in_the_fine_skeleton_meets_in_the_coarse_one():
    for pair in bench_names.pairs():
        if skeleton(pair.one) == skeleton(pair.other):
            assert bench_names.meets(pair, "coarse"), pair
        assert sound(fold(pair.one), coarse=True) == skeleton(pair.one, coarse=True)


# --- The test set: floors on the half that was tuned on. make bench-names shows the other one beside it.

SKELETON_FLOORS = {"script": 0.98, "variant": 0.97}
FOLD_FLOORS = {"script": 0.67, "variant": 0.38}


def test_the_set_is_as_large_as_is_said():
    script, variant, apart = ([pair for pair in bench_names.pairs() if pair.kind == kind] for kind in ("script", "variant", "apart"))
    written = {where: {pair.one for pair in script if pair.where == where} for where in {pair.where for pair in script}}
    assert min(len(names) for where, names in written.items() if where not in {"olck", "mtei"}) >= 60
    assert len(written) == 12
    assert len(variant) >= 400
    assert len(apart) >= 300
    assert len(bench_names.pairs()) == len(set(bench_names.pairs()))


@pytest.mark.parametrize("kind", SKELETON_FLOORS)
def test_spellings_meet_as_often_as_is_said(kind):
    tuned = bench_names.of(kind, tuned=True)
    assert bench_names.share(tuned, "skeleton") >= SKELETON_FLOORS[kind]
    assert bench_names.share(tuned, "fold") >= FOLD_FLOORS[kind]


@pytest.mark.parametrize("where", sorted({pair.where for pair in bench_names.of("script", tuned=True)}))
def test_no_script_falls_behind(where):
    assert bench_names.share(bench_names.of("script", tuned=True, where=where), "skeleton") >= 0.94


def test_names_that_are_not_one_stay_apart():
    apart = bench_names.of("apart", tuned=True)
    assert bench_names.share(apart, "fold") == 0
    assert bench_names.share(apart, "skeleton") <= 0.11  # Meena and Mohan: what vowels alone tell apart.
    assert bench_names.collisions_per_10k(fold) <= 0.1
    assert bench_names.collisions_per_10k(skeleton) <= 8


# What every name of the set comes to, by version. Keys are stored, and weights trained on them: where an outcome changes, raise
# NORMALISER_VERSION and pin anew. Where the set alone has grown, pin anew.
OUTCOMES = {1: "7a6c7027e7423714"}


def test_no_outcome_changes_unawares():
    with bench_names.NAMES.open(encoding="utf-8", newline="") as lines:
        told = sorted({name for row in csv.DictReader(lines) for name in (row["name"], *row["others"].split())})
    told += [*(name for name, _, _ in TITLED), "Smt. Sunitadevi Yadav", "Rani Devi", "K. Lakshmi", "W/o Mohd. Salim"]
    outcomes = "\n".join(f"{name} {to_latin(name)} {name_key(name)} {name_key(name, coarse=True)}" for name in told)
    assert {NORMALISER_VERSION: sha256(outcomes.encode()).hexdigest()[:16]} == OUTCOMES


# --- Hostile input.

UNSEEN = "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2069\ufeff\u00ad\ufe0f\u061c"
LETTERS = "aeiouhyksnrtzAZ सुनीताक्ष़ंশ্রীমতীਕੌਰબેનଦେବୀதேவிఅమ్మಣ್ಣചന്ദ്രشبانہبیؤئھں ᱥᱩᱱ ꯁꯨꯅ"
ANYTHING = LETTERS + UNSEEN + "0१٣७😀👩🏽‍🌾\u0301\u0316\u034f\u0f39ﷺﬁＡжѕ./-\n\t\0"


@given(st.text(st.sampled_from(ANYTHING), max_size=60) | st.text(max_size=60))
def test_any_text_has_a_key(text):
    key = name_key(text)
    assert key == name_key(text)
    assert len(key.fold.split(" ")) == len(key.skeleton.split(" "))
    assert not any(mark in key.fold + key.title for mark in UNSEEN)
    assert to_latin(text) == to_latin(text).strip("0123456789\n\t")


@given(st.text(st.sampled_from(LETTERS), max_size=NAME_LENGTH_MAX), st.lists(st.tuples(st.integers(0, 100), st.sampled_from(UNSEEN)), max_size=200))
def test_marks_that_nobody_sees_change_no_key(name, marks):
    hidden = name
    for place, mark in marks:
        hidden = hidden[:place] + mark + hidden[place:]
    assert name_key(hidden) == name_key(name)
    assert (fold(hidden), skeleton(hidden, coarse=True)) == (fold(name), skeleton(name, coarse=True))


@given(st.text(st.sampled_from(LETTERS), max_size=40))
def test_composed_or_not_a_name_has_one_key(name):
    assert name_key(unicodedata.normalize("NFD", name)) == name_key(unicodedata.normalize("NFC", name))


LONG = [*bench_names.HOSTILE, "Sunita Devi " * 1_000, "\u200b" * 10_000, "सुनीता" * 2_000, "W/o " * 3_000, "sunitadevi" * 1_000, "ں" * 10_000]


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_a_long_name_is_cut_before_any_work(text):
    key = name_key(text)
    for one in (key.fold, key.skeleton, fold(text), skeleton(text)):
        assert len(one) <= 4 * KEYED_LENGTH_MAX
    assert name_key(text + "x") == key
    with pytest.raises(Invalid, match="at most"):
        clean_name(text, "name")


@pytest.mark.parametrize(
    "refused", ["", " \u00a0", "123", "😀", "\u0301", "Sunita\0", "Sunita\ue000", "<b>Sunita", "\u200d", "x" * (NAME_LENGTH_MAX + 1)]
)
def test_what_no_name_holds_is_refused(refused):
    with pytest.raises(Invalid):
        clean_name(refused, "name")


def test_a_name_is_kept_as_she_writes_it():
    assert clean_name("  Sunita \u00a0 Devi ", "name") == "Sunita Devi"
    assert clean_name("ക\u0d4dഷ", "name") == "ക\u0d4dഷ"
