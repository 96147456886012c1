"""The words of the detectors: how numbers, letters and signs are said, and the words that ask for a value."""

from collections.abc import Mapping


def list_words(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


def _split(text: str) -> list[str]:
    return [" ".join(x.split()) for x in text.split(",")]


def _number(text: str, start: int, step: int = 1) -> dict[str, int]:
    return {word: start + i * step for i, word in enumerate(text.split())}


ONES = {**_number("zero one two three four five six seven eight nine", 0), "oh": 0, "o": 0, "nought": 0, "naught": 0}
ONES |= {"niner": 9, "fife": 5, "tree": 3, "aught": 0, "nil": 0}
TEENS = _number("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen", 10)
TENS = {**_number("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10), "fourty": 40}
SCALES = {"thousand", "million", "billion", "lakh", "crore"}
REPEATS = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
ALIKE = {
    "to": "2", "too": "2", "for": "4", "won": "1", "ate": "8", "sicks": "6", "nein": "9", "find": "5", "heaven": "7",
    "sick": "6", "mine": "9", "ait": "8", "fore": "4",
}  # fmt: skip
"""Words that sound like a digit: a recogniser writes them for one in the middle of a number."""
ALIKE_LETTERS = dict(zip(list_words("be bee see sea are you why tea pea eye jay queue cue okay kay hey ex"),
                         list_words("B B C C R U Y T P I J Q Q K K A X"), strict=True))  # fmt: skip
NATO = {
    word: word[0].upper()
    for word in list_words("""
    alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar
    papa quebec romeo sierra tango uniform victor whiskey whisky xray x-ray yankee zulu
""")
}
ORDINALS = {
    **_number("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth", 1),
    **_number("fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth", 14),
    "thirtieth": 30,
}
MONTHS = {
    word: i // 2 % 12 + 1
    for i, word in enumerate(list_words("""
    january jan february feb march mar april apr may may june jun july jul august aug september sep october oct
    november nov december dec
"""))
} | {"sept": 9}  # fmt: skip
SIGNS = {
    "dot": ".", "point": ".", "period": ".", "dash": "-", "hyphen": "-", "minus": "-", "underscore": "_", "slash": "/",
    "plus": "+", "colon": ":", "space": " ", "hash": "#", "stroke": "/",
}  # fmt: skip
LINKS = ("as in", "like in", "for", "like")
"""Between a letter and the word that tells which one: "b as in bravo"."""
FILLERS = _split("""
        uh, um, er, erm, uhm, ah, hmm, mm, eh, let me see, let's see, hang on, hold on, wait, what was it, and
        then, then, okay, ok, just a second, one second, one moment, you know, like, well, right, so, yeah,
        and also, followed by
    """)
CORRECTIONS = _split("""
        no, no no, no sorry, sorry, sorry no, i mean, no wait, wait no, scratch that, strike that, correction,
        make that, actually, rather, or rather, no i mean, my mistake, no make that, excuse me, pardon, that's
        wrong, oops
    """)
NUMBER_WORDS = frozenset((*ONES, *TEENS, *TENS, *SCALES, *REPEATS, *ORDINALS, "hundred"))
UNITS = set(
    list_words("""
    dollar dollars pound pounds euro euros rupee rupees cent cents pence quid bucks percent per degrees degree
    am pm a.m p.m o'clock clock kilo kilos kg grams gram metres meters feet foot inch inches miles mile km
    litres liters gigs gb mb megabytes gigabytes bytes years year months month weeks week days day hours hour
    minutes minute seconds mins people times percentage points point's pages items units tickets pieces copies
    seats votes employees customers users followers subscribers residents square cubic tons tonnes volts watts
    million thousand billion hundred k each apiece altogether reps model
""")
)
"""Words after a number that make it a quantity."""

STOP = set(
    list_words("""
    a an the this that these those my your his her its our their mine yours i you he she it we they me him us
    them is are was were be been being am isn't wasn't it's that's i'm he's she's we're they're you're there's
    what's who's do does did don't didn't doesn't have has had haven't hasn't will would can could should shall
    may might must won't can't couldn't not no yes yeah yep nope okay ok so well and or but if because since
    when where what which who how why than then of in on to from for with by about into over after before under
    between out up down off as at all any some here there now just only also too very really please thanks thank
    sorry hello hi hey right sure get got go goes going want wants need needs know think say says said tell told
    see look let let's put take took give gave make made come came went left met still again back more most much
    many never always ever one's oh um uh er hmm like
""")
)
"""Function words and common verbs: no part of an address of mail, of a page's or of a street's name."""

DOMAINS = set(
    list_words("""
    com org net edu gov io co me uk us ca au ie in de fr es it nl pl be at ch se no dk fi pt br mx nz za jp info
    biz dev app blog tv ai eu xyz online site shop tech cloud name pro mil int academy club design photography
    studio
""")
)
"""Top-level domains that are said in talk."""
MAIL_HOSTS = set(list_words("gmail googlemail hotmail icloud protonmail"))
"""Hosts of mail that nobody names without meaning an address."""
ROLES = set(
    list_words("""
    info support sales help contact press service services feedback complaints hello office bookings billing
    enquiries inquiries jobs careers news newsletter marketing admissions reservations customerservice
""")
)
"""Addresses of an office, which are nobody's."""
PUBLIC_SITES = set(
    list_words("""
    wikipedia google bbc amazon nytimes weather nhs irs ebay netflix usa canada service hse irctc booking reddit
    theguardian guardian python imdb tripadvisor youtube facebook twitter instagram microsoft apple cnn github
    linkedin whatsapp zoom paypal airbnb spotify gov
""")
)
"""Sites of the public; a page below one of them is somebody's again."""
STREETS = set(
    list_words("""
    street road avenue lane boulevard crescent terrace drive grove gardens parade highway parkway esplanade st
    rd ave ln blvd dr mews marg nagar trail quay
""")
)
WEAK_STREETS = set(
    list_words("""
    court close way place square hill view rise row walk green park circle loop path plaza alley cross sector
    yard wharf gate end mount ct pl sq cres tce
""")
)
"""Also common words: a street only with an address asked for, or written with a capital."""
FLATS = set(list_words("flat apartment apt unit suite"))

HOUSE = "house"
"""Label of words that ask for the number of a house alone."""
SHORT_VALUES = frozenset(
    [*list_words("ending extension ext pin passcode pass cvv cvc last final back security"), "c v v", "c v c", "p i n"]
)
"""Words of cues, and whole cues, that announce a few digits."""
CUES: Mapping[str, str] = {
    "phone": """
        phone, telephone, mobile, cell, cellphone, landline, phone number, my number, our number, your number,
        his number, her number, their number, the number is, number's, call me, call me back, call me at, call
        us, call her, call him, reach me, reach her, reach him, reach us, ring me, text me, text her, text
        him, ring, a good number, the best number, daytime number, contact number, callback number, call you
        back, whatsapp, dial me, fax, work number, home number, number, old number, new number, emergency
        contact, next of kin, and number, which number, what number, area code, hold of you, calling from,
        extension, ext, extension number
    """,
    "card": """
        card, card number, credit card, debit card, card ending, card ending in, visa, mastercard, master
        card, amex, american express, long number, sixteen digits, 16 digits, number on the front, card
        details, sixteen digit, security code, security code on the back, cvv, c v v, cvc, c v c, three digits on the
        back, three digit code on the back, code on the back, number on the back, digits on the back, last four
        digits, last 4 digits, last two digits, last three digits, last 3 digits, final four digits, last four of the,
        last four of my, last four of your, last four on the, last four please
    """,
    "iban": "iban, i b a n, international account number, international bank account",
    "account": """
        account, account number, bank account, account ending in, sort code, routing number, routing, b s b,
        bsb, i f s c, ifsc, checking account, savings account, branch code, transit number, bank details, bank
        code, which branch, payee, standing order, pension, salary, direct debit, building society, a b a, pin number,
        your pin, my pin, the pin is, pin is, p i n, passcode, pass code
    """,
    "national_id": """
        social security, social security number, s s n, ssn, social insurance, national insurance, n i number,
        ni number, nino, nhs number, n h s number, nhs, n h s, tax number, tax file, tax file number, tax id,
        t f n, tfn, pps, p p s, aadhaar, aadhar, pan card, pan number, medicare number, medicare, health card,
        health number, identity card, id card, national id, s i n, sin number, my social, your social, his
        social, her social, social by heart, insurance number, taxpayer, identity number, i d card, id number,
        i d number, tax office, benefits, national number, medicare card
    """,
    "passport": "passport, passport number, travel document, passport details, document number",
    "date_of_birth": """
        date of birth, birth date, birthdate, birthday, born, born on, d o b, dob, birth, when were you born,
        was born, date of births
    """,
    "license_plate": """
        plate, license plate, licence plate, number plate, registration, registration number, reg, reg number,
        registered as, the tag of, car is, vehicle, licence plates, plates, my car, your car, the van, which
        car, van, truck, lorry, hit and run, parking fine, parking ticket, do you drive, you driving
    """,
    "medical_record": """
        medical record, medical record number, m r n, mrn, hospital number, patient number, patient id,
        patient i d, chart, chart number, record number, patient record, clinic number, nhs record, medical
        number, patient file, health record, under record, record, patient, file number
    """,
    "postcode": "postcode, post code, zip, zip code, postal code, eircode, pin code, pincode",
    "ip": """
        ip, i p, ip address, i p address, ping, server, host, printer, camera, router, machine, firewall,
        subnet, network
    """,
    "email": """
        email, e mail, e-mail, emails, mail, email address, mail address, mail me, write to, email me, write
        me at, email us, gmail, mail is, invoice go
    """,
    "url": """
        website, web site, homepage, home page, site, portfolio, my page, profile, link, url, u r l, blog, web
        page
    """,
    "username": """
        username, user name, login, log in, handle, user id, user i d, screen name, gamer tag, gamertag,
        nickname, nick, account name, logs in as, log in as, plays as, twitter, instagram, tag me, github
        name, search for, go by, logged in as, sign up, signed up, who are you on
    """,
    "address": """
        address, live at, lives at, living at, street address, home address, deliver to, delivery address,
        moved to, send it to, where do you live, ship to, billing address, i'm at, stay at,
        ambulance
    """,
    HOUSE: """
        house number, flat number, apartment number, door number, number of the house, number of your house, number of
        the flat, number of your flat, unit number
    """,
    "person": "spell, spelled, spelling, spelt, surname, last name, first name, name, my name, that's",
    "": """
        order, order number, invoice, ticket, ticket number, case, case number, flight, room, gate, port,
        version, model, serial, serial number, product code, tracking, tracking number, parcel, confirmation,
        confirmation number, booking, booking reference, reference, reference number, reference is, batch,
        lot, part number, error, error code, code is, password, verification code, one time code, page,
        chapter, line, bus, train, seat,
        row, table, meter, meter reading, mileage, reading, expires, expire, expiry, expiration, last payment,
        payment, paid, charged, deadline, appointment, due, issued, expiry date, valid until, form, section,
        floor, channel, article, item, item number, lottery, queue, build, isbn, sku, product,
        hotline, helpline, emergency, claim number, the code, code, policy, claim, flying on, travelling on,
        three digits, last three, directory, enquiries, calls cost, helpline, hot line,
        population, index, score, quote, promo code, coupon, voucher, unit price, total, price, balance,
        amount, temperature, level, episode, season, question, number of, id of the job, router, printer
        model, released in, since, built in, copyright, platform,
        on account of, account of the, take into account, taken into account, taking into account,
        took into account, zip on, zip up
    """,
}
"""Words that ask for a value or announce one, by label; "" for numbers that are nobody's."""
NEAR_CUES = frozenset(
    list_words("""
    room gate line item floor page seat table row form section channel score level season index price balance
    amount total code payment paid charged due issued car van truck number machine host camera printer router
    server network chart record patient ring pension salary payee
""")
)
"""Cues of one word that count only for a number in the same line, a few words on."""
SHORT = frozenset(
    list_words("""
    old new big red car bus van man men day way two one few lot bit guy top end low high long last next same own
    good bad best time week year name line side part case fact kind type form file page plan team home work paid
    time main free full half hot cold dark late early else even once able ago far near fast slow hard easy sure
    true real open any her his its our out off own per set sit sat run ran saw see say sad son dad mom mum kid
    dog cat box bag bed bad ask add ago air all arm art ate bar bit boy buy cup cut did die dry due ear eat egg
    end eye far fat fee fit fix fly fun gas gun hat hit hot ice ill job joy key law lay leg lie lip low map mix
    mud net new nor odd oil pay pen pet pie pin pop pot raw red rid row sea sky sun tax tea ten tie tip ton toy
    try war wet win yet zoo lab fee won wait then with from were does done goes been left lost sent spent gave
    took read copy hand head foot feet card bank call text mail post code zip road land town city area door gate
    room desk shop store both each most such than them they this that what when whom will hold hang
""")
)
"""Common short words, which are no letters of a number."""
