"""What a form offers to choose from: lists of values, each with its national code, and the national values that every state begins with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from services.kernel.errors import Invalid

KNOWN_SHOWN_MAX = 12

# The national lists: a value a line, its code, English and Hindi. Code rests on the meaning of a value with a star, which is never
# retired, and on a whole list with a star, to which a state adds nothing. A line that is added here takes a migration that adds
# what is missing; none is taken out, for records keep it.
_NATIONAL = """
SOCIAL_CATEGORY
    SC | Scheduled Caste | अनुसूचित जाति
    ST* | Scheduled Tribe | अनुसूचित जनजाति
    OBC | Other Backward Class | अन्य पिछड़ा वर्ग
    OTHER | General or other | सामान्य या अन्य
RELIGION
    HINDU | Hindu | हिंदू
    MUSLIM | Muslim | मुस्लिम
    CHRISTIAN | Christian | ईसाई
    SIKH | Sikh | सिख
    BUDDHIST | Buddhist | बौद्ध
    JAIN | Jain | जैन
    PARSI | Parsi | पारसी
    OTHER | Other | अन्य
    NOT_STATED | Not stated | नहीं बताया
MARITAL_STATUS
    SINGLE | Single | अविवाहित
    MARRIED | Married | विवाहित
    WIDOW | Widow | विधवा
    DIVORCED | Divorced | तलाकशुदा
    SEPARATED | Separated | अलग रह रही
    DESERTED | Deserted | परित्यक्ता
DISABILITY
    BLINDNESS | Blindness | दृष्टिहीनता
    LOW_VISION | Low vision | अल्प दृष्टि
    LEPROSY_CURED | Leprosy cured | कुष्ठ रोग से मुक्त
    HEARING_IMPAIRMENT | Hearing impairment | श्रवण बाधित
    LOCOMOTOR | Locomotor disability | चलन दिव्यांगता
    DWARFISM | Dwarfism | बौनापन
    INTELLECTUAL | Intellectual disability | बौद्धिक दिव्यांगता
    MENTAL_ILLNESS | Mental illness | मानसिक रोग
    AUTISM | Autism spectrum disorder | स्वलीनता (ऑटिज़्म)
    CEREBRAL_PALSY | Cerebral palsy | प्रमस्तिष्क घात
    MUSCULAR_DYSTROPHY | Muscular dystrophy | पेशीय दुर्विकास
    CHRONIC_NEUROLOGICAL | Chronic neurological condition | दीर्घकालिक तंत्रिका रोग
    SPECIFIC_LEARNING | Specific learning disability | विशिष्ट अधिगम दिव्यांगता
    MULTIPLE_SCLEROSIS | Multiple sclerosis | मल्टीपल स्क्लेरोसिस
    SPEECH_AND_LANGUAGE | Speech and language disability | वाक् एवं भाषा दिव्यांगता
    THALASSEMIA | Thalassemia | थैलेसीमिया
    HAEMOPHILIA | Haemophilia | हीमोफीलिया
    SICKLE_CELL | Sickle cell disease | सिकल सेल रोग
    MULTIPLE | Multiple disabilities, deaf-blindness included | बहु दिव्यांगता, बधिरांधता सहित
    ACID_ATTACK | Acid attack victim | तेज़ाब हमले से पीड़ित
    PARKINSONS | Parkinson's disease | पार्किंसन रोग
PIP_CATEGORY
    POP | Poorest of the poor | अति निर्धन
    POOR | Poor | निर्धन
    MIDDLE | Middle | मध्यम
    NON_POOR | Not poor | निर्धन नहीं
WELLBEING_CATEGORY
    ULTRA_POOR | Ultra poor | अत्यंत निर्धन
    POP | Poorest of the poor | अति निर्धन
    POOR | Poor | निर्धन
    MIDDLE | Middle | मध्यम
    NON_POOR | Not poor | निर्धन नहीं
EDUCATION
    ILLITERATE | Cannot read or write | निरक्षर
    CAN_SIGN | Can sign | हस्ताक्षर कर सकती है
    BELOW_PRIMARY | Below primary | प्राथमिक से कम
    PRIMARY | Primary | प्राथमिक
    MIDDLE | Middle | मिडिल
    SECONDARY | Secondary | माध्यमिक
    SENIOR_SECONDARY | Senior secondary | उच्चतर माध्यमिक
    DIPLOMA_ITI | Diploma or ITI | डिप्लोमा या आईटीआई
    GRADUATE | Graduate | स्नातक
    POSTGRADUATE | Postgraduate | स्नातकोत्तर
INSURANCE
    PMJJBY | PM Jeevan Jyoti Bima Yojana | प्रधानमंत्री जीवन ज्योति बीमा योजना
    PMSBY | PM Suraksha Bima Yojana | प्रधानमंत्री सुरक्षा बीमा योजना
    PMJAY | Ayushman Bharat PM-JAY | आयुष्मान भारत प्रधानमंत्री जन आरोग्य योजना
    LIC | LIC policy | एलआईसी पॉलिसी
    STATE_SCHEME | Scheme of the state | राज्य की योजना
    OTHER | Other | अन्य
LIVELIHOOD
    AGRICULTURE | Agriculture | कृषि
    HORTICULTURE | Horticulture | बागवानी
    FISHERY | Fishery | मत्स्य पालन
    DAIRY | Dairy | डेयरी
    GOAT_REARING | Goat rearing | बकरी पालन
    POULTRY | Poultry | मुर्गी पालन
    PIG_REARING | Pig rearing | सूअर पालन
    OTHER_LIVESTOCK | Rearing of other livestock | अन्य पशुपालन
    BEE_KEEPING | Bee keeping | मधुमक्खी पालन
    SERICULTURE | Sericulture | रेशम पालन
    NTFP | Collection of forest produce | वनोपज संग्रह
    FOOD_PROCESSING | Food processing | खाद्य प्रसंस्करण
    HANDLOOM | Handloom and weaving | हथकरघा और बुनाई
    HANDICRAFT | Handicraft | हस्तशिल्प
    TAILORING | Tailoring | सिलाई
    PETTY_TRADE | Petty trade | छोटा व्यापार
    MANUFACTURING | Manufacturing | विनिर्माण
    SERVICES | Services | सेवाएँ
    AGRICULTURAL_LABOUR | Agricultural labour | खेतिहर मज़दूरी
    OTHER_LABOUR | Other wage labour | अन्य मज़दूरी
    SALARIED | Salaried work | वेतनभोगी कार्य
    OTHER | Other | अन्य
CADRE
    BOOKKEEPER | Bookkeeper | पुस्तक संचालक
    MASTER_BOOKKEEPER | Master bookkeeper | मास्टर पुस्तक संचालक
    SAMOOH_SAKHI | Samooh Sakhi | समूह सखी
    CRP | Community resource person | सामुदायिक संसाधन व्यक्ति
    FL_CRP | Financial literacy CRP | वित्तीय साक्षरता सीआरपी
    CRP_EP | Enterprise promotion CRP | उद्यम संवर्धन सीआरपी
    GENDER_CRP | Gender CRP | जेंडर सीआरपी
    HEALTH_CRP | Food, nutrition and health CRP | खाद्य, पोषण एवं स्वास्थ्य सीआरपी
    BANK_SAKHI | Bank Sakhi | बैंक सखी
    BC_SAKHI | Banking correspondent Sakhi | बीसी सखी
    BIMA_SAKHI | Bima Sakhi | बीमा सखी
    KRISHI_SAKHI | Krishi Sakhi | कृषि सखी
    PASHU_SAKHI | Pashu Sakhi | पशु सखी
    MATSYA_SAKHI | Matsya Sakhi | मत्स्य सखी
    VAN_SAKHI | Van Sakhi | वन सखी
    UDYOG_SAKHI | Udyog Sakhi | उद्योग सखी
    OTHER | Other | अन्य
PHONE_OWNER
    SELF* | Her own | स्वयं का
    HUSBAND | Husband | पति
    SON | Son | पुत्र
    DAUGHTER | Daughter | पुत्री
    DAUGHTER_IN_LAW | Daughter-in-law | बहू
    FATHER | Father | पिता
    MOTHER | Mother | माता
    BROTHER | Brother | भाई
    SISTER | Sister | बहन
    FATHER_IN_LAW | Father-in-law | ससुर
    MOTHER_IN_LAW | Mother-in-law | सास
    MEMBER | A member of the institution | संस्था की सदस्य
    OFFICE | Office of the institution | संस्था का कार्यालय
    NEIGHBOUR | Neighbour | पड़ोसी
    OTHER | Other | अन्य
NO_DOCUMENT
    NEVER_HAD | Never had one | कभी नहीं था
    APPLIED_FOR | Has applied for one | आवेदन किया है
    LOST | Lost or destroyed | खो गया या नष्ट हो गया
    NOT_SHOWN | Does not show it | नहीं दिखाना चाहती
    NOT_READ | Could not be read or verified | पढ़ा या सत्यापित नहीं हो सका
    OTHER | Other | अन्य
DOCUMENT
    VOTER_ID | Voter ID | मतदाता पहचान पत्र
    RATION_CARD | Ration card | राशन कार्ड
    PAN | PAN card | पैन कार्ड
    JOB_CARD | MGNREGA job card | मनरेगा जॉब कार्ड
    DRIVING_LICENCE | Driving licence | ड्राइविंग लाइसेंस
    PASSPORT | Passport | पासपोर्ट
    REGISTRATION_CERTIFICATE | Registration certificate of the institution | संस्था का पंजीकरण प्रमाण पत्र
    OTHER | Other | अन्य
ADDRESS_KIND
    PRESENT | Present address | वर्तमान पता
    PERMANENT | Permanent address | स्थायी पता
    OFFICE | Office | कार्यालय
    OTHER | Other | अन्य
HEAD_OF_FAMILY
    SELF* | Herself | स्वयं
    HUSBAND | Husband | पति
    SON | Son | पुत्र
    DAUGHTER | Daughter | पुत्री
    FATHER | Father | पिता
    MOTHER | Mother | माता
    BROTHER | Brother | भाई
    FATHER_IN_LAW | Father-in-law | ससुर
    MOTHER_IN_LAW | Mother-in-law | सास
    OTHER | Other | अन्य
GUARDIAN_RELATION
    HUSBAND | Husband | पति
    FATHER | Father | पिता
    MOTHER | Mother | माता
    SON | Son | पुत्र
    DAUGHTER | Daughter | पुत्री
    DAUGHTER_IN_LAW | Daughter-in-law | बहू
    BROTHER | Brother | भाई
    SISTER | Sister | बहन
    FATHER_IN_LAW | Father-in-law | ससुर
    MOTHER_IN_LAW | Mother-in-law | सास
    LEGAL_GUARDIAN | Legal guardian | कानूनी अभिभावक
    OTHER | Other | अन्य
LEAVING_REASON
    DEATH* | Death | मृत्यु
    MIGRATION | Moved away | प्रवास
    MARRIAGE | Marriage | विवाह
    VOLUNTARY | Of her own will | स्वेच्छा से
    EXPELLED | Expelled | निष्कासित
    TRANSFER* | Moved to another SHG | दूसरे समूह में स्थानांतरण
    INSTITUTION_CLOSED* | The SHG was closed | समूह बंद हुआ
    DUPLICATE* | Enrolled twice | दोहरा नामांकन
    OTHER | Other | अन्य
CLOSING_REASON
    DEFUNCT | No meetings any more | बैठकें बंद
    MEMBERS_TOO_FEW | Too few members left | सदस्य बहुत कम
    VOLUNTARY | Its members decided so | सदस्यों के निर्णय से
    MERGED* | Merged into another | दूसरी संस्था में विलय
    SPLIT* | Split into others | विभाजन
    DUPLICATE* | Entered twice | दोहरी प्रविष्टि
    OTHER | Other | अन्य
PROMOTED_BY
    NRLM* | NRLM | एनआरएलएम
    STATE_PROJECT | Project of the state | राज्य परियोजना
    NGO* | NGO | गैर-सरकारी संगठन
    SGSY | SGSY | एसजीएसवाई
    OTHER* | Other | अन्य
SPECIAL_TAG
    PVTG | Particularly vulnerable tribal group | विशेष रूप से कमज़ोर जनजातीय समूह
    PWD | Persons with disabilities | दिव्यांगजन
    ELDERLY | Elderly | वृद्धजन
    TRANSGENDER | Transgender persons | ट्रांसजेंडर व्यक्ति
    WIDOW_DESTITUTE | Widows and destitute women | विधवा और निराश्रित महिलाएँ
    BONDED_LABOUR | Freed from bonded labour | बंधुआ मज़दूरी से मुक्त
    OTHER* | Other | अन्य
EXTERNAL_SYSTEM
    NRLM_MIS* | Old NRLM MIS | पुराना एनआरएलएम एमआईएस
    STATE_MIS | MIS of the state | राज्य का एमआईएस
    SECC_TIN | SECC TIN | एसईसीसी टिन
    JOB_CARD | MGNREGA job card | मनरेगा जॉब कार्ड
    OTHER | Other | अन्य
BODY*
    OFFICE* | Office bearers | पदाधिकारी
    EXECUTIVE_COMMITTEE* | Executive committee | कार्यकारिणी समिति
    BOARD* | Board of directors | निदेशक मंडल
    GENERAL_BODY* | General body | आम सभा
    REPRESENTATIVE_GENERAL_BODY* | Representative general body | प्रतिनिधि आम सभा
    SUB_COMMITTEE* | Sub-committee | उप-समिति
POST
    PRESIDENT* | President | अध्यक्ष
    VICE_PRESIDENT | Vice president | उपाध्यक्ष
    SECRETARY* | Secretary | सचिव
    JOINT_SECRETARY | Joint secretary | सह-सचिव
    TREASURER* | Treasurer | कोषाध्यक्ष
    DIRECTOR | Director | निदेशक
    CONVENER | Convener | संयोजक
    BOOKKEEPER | Bookkeeper | पुस्तक संचालक
    MEMBER* | Member | सदस्य
DUTY
    AUDIT* | Audit of the books | लेखा परीक्षा
    RETURN* | Return to the registrar | पंजीयक को विवरणी
    TAX_RETURN | Income tax return | आयकर विवरणी
    GENERAL_BODY* | Meeting of the general body | आम सभा की बैठक
    ELECTION | Election of office bearers | पदाधिकारियों का चुनाव
    RENEWAL | Renewal of the registration | पंजीकरण का नवीनीकरण
    OTHER | Other | अन्य
REJECTION_REASON
    DUPLICATE* | Duplicate | दोहरा रिकॉर्ड
    NAME_WRONG | Name is wrong | नाम गलत है
    BIRTH_WRONG | Date of birth or age is wrong | जन्म तिथि या आयु गलत है
    PHOTO_MISSING | Photo is missing or not clear | फ़ोटो नहीं है या साफ़ नहीं है
    DOCUMENT_WRONG | Document is wrong or not clear | दस्तावेज़ गलत है या साफ़ नहीं है
    PHONE_WRONG | Phone number is wrong | फ़ोन नंबर गलत है
    ACCOUNT_WRONG | Bank account is wrong | बैंक खाता गलत है
    ADDRESS_WRONG | Address or place is wrong | पता या स्थान गलत है
    POST_WRONG | Office bearer is wrong | पदाधिकारी गलत है
    NOT_A_MEMBER | Does not belong to this institution | इस संस्था की सदस्य नहीं
    INCOMPLETE | Something is missing | जानकारी अधूरी है
    OTHER | Other | अन्य
SAVING_TYPE*
    COMPULSORY* | Compulsory savings | अनिवार्य बचत
    VOLUNTARY* | Voluntary savings | स्वैच्छिक बचत
    FOOD* | Food savings | खाद्य बचत
    HEALTH* | Health savings | स्वास्थ्य बचत
FUND_SOURCE
    OWN* | Own funds: savings, interest, corpus | अपना कोष (बचत, ब्याज, संचित निधि)
    RF* | Revolving fund | रिवॉल्विंग फंड
    CIF* | Community investment fund | सामुदायिक निवेश निधि
    VRF* | Vulnerability reduction fund | जोखिम न्यूनीकरण निधि
    BANK* | Bank | बैंक
    VO* | Village organisation | ग्राम संगठन
    CLF* | Cluster level federation | संकुल स्तरीय संघ
    ISF | Institution strengthening fund | संस्था सुदृढ़ीकरण निधि
    CEF | Community enterprise fund | सामुदायिक उद्यम निधि
    STARTUP | Start-up fund | स्टार्ट-अप निधि
    PMFME | PMFME seed capital | पीएमएफएमई प्रारंभिक पूँजी
    PG_WORKING_CAPITAL | Working capital of a producer group | उत्पादक समूह कार्यशील पूँजी
    OTHER | Other | अन्य
PAYMENT_MODE
    CASH* | Cash | नकद
    CHEQUE* | Cheque | चेक
    NEFT | NEFT | एनईएफटी
    RTGS | RTGS | आरटीजीएस
    IMPS | IMPS | आईएमपीएस
    UPI | UPI | यूपीआई
    AEPS | AEPS | एईपीएस
    BANK_TRANSFER* | Transfer within the bank | बैंक में अंतरण
LOAN_PURPOSE
    CONSUMPTION | Food and consumption | भोजन और उपभोग
    HEALTH | Health | स्वास्थ्य
    EDUCATION | Education | शिक्षा
    MARRIAGE_SOCIAL | Marriage and other social needs | विवाह और अन्य सामाजिक कार्य
    HOUSE | Building or repair of a house | मकान निर्माण या मरम्मत
    TOILET | Toilet | शौचालय
    DEBT_SWAPPING | Swapping of costly debt | महँगे क़र्ज़ की अदायगी
    AGRICULTURE_INPUTS | Agricultural inputs | कृषि आदान
    LAND_LEASE | Lease of land | भूमि पट्टा
    LIVESTOCK | Livestock | पशुपालन
    DAIRY | Dairy | डेयरी
    GOAT_REARING | Goat rearing | बकरी पालन
    POULTRY | Poultry | मुर्गी पालन
    FISHERY | Fishery | मत्स्य पालन
    NTFP | Forest produce | वनोपज
    PETTY_TRADE | Petty trade | छोटा व्यापार
    MANUFACTURING | Manufacturing | विनिर्माण
    SERVICES | Services | सेवाएँ
    ASSET | Purchase of an asset | परिसंपत्ति की खरीद
    FESTIVAL | Festival | त्योहार
    EMERGENCY | Emergency | आपात स्थिति
    OTHER | Other | अन्य
"""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a list. `labels` are by language code, English ("en") always among them."""

    code: str
    national_code: str
    valid_from: date | None
    valid_to: date | None
    active: bool
    labels: Mapping[str, str]

    def in_use(self, on: date) -> bool:
        return self.active and (self.valid_from is None or self.valid_from <= on) and (self.valid_to is None or on <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of a state as they stand, by name, each by code in the order of the screen."""

    values: Mapping[str, Mapping[str, Value]]

    def must_know(self, name: str, code: str, field: str, on: date, kept: str = "") -> str:
        """The code, where the list has it and it is in use; a record that has it already keeps one that was retired since."""
        value = self.values[name].get(code)
        if value is None:
            in_use = [each.code for each in self.values[name].values() if each.in_use(on)]
            known = ", ".join(in_use[:KNOWN_SHOWN_MAX]) + (" and more" if len(in_use) > KNOWN_SHOWN_MAX else "")
            raise Invalid("VALUE_UNKNOWN", "The list {list} has no such value; it has {known}.", field=field, list=name, known=known)
        if code != kept and not value.in_use(on):
            raise Invalid("VALUE_RETIRED", "{code} of the list {list} is not in use; choose another.", field=field, list=name, code=code)
        return code

    def national(self, name: str, code: str) -> str:
        """The national code of a value, so that figures of states add up; the code itself where it is not known."""
        value = self.values.get(name, {}).get(code)
        return value.national_code if value else code


def _read(text: str) -> tuple[Lists, frozenset[str], frozenset[tuple[str, str]]]:
    """The lists, the names of the closed ones, and the values (list, code) that are never retired."""
    lists: dict[str, dict[str, Value]] = {}
    closed, locked = set(), set()
    name = ""
    for line in text.strip().splitlines():
        head, *labels = (part.strip() for part in line.split("|"))
        word, starred = head.removesuffix("*"), head.endswith("*")
        if labels:
            lists[name][word] = Value(word, word, None, None, active=True, labels=dict(zip(("en", "hi"), labels, strict=True)))
            locked |= {(name, word)} if starred else set()
        else:
            name = word
            lists[name] = {}
            closed |= {name} if starred else set()
    return Lists(lists), frozenset(closed), frozenset(locked)


DEFAULTS, CLOSED, LOCKED = _read(_NATIONAL)
