"""What the rules find in talk and in typed text, and what they leave alone."""

import time

import pytest

from stream.rules.reader import PersonalDataRules

RULES = PersonalDataRules()


def find(text: str, context: str = "") -> list[tuple[str, str]]:
    return [(text[x.start : x.end], x.label) for x in RULES.find(text, context)]


@pytest.mark.parametrize(
    ("text", "value", "label"),
    [
        # numbers in words: one by one, in pairs, doubled, with zero and oh, with a plus, misheard
        ("ring me on oh one six double three nine six oh oh one two after lunch", "", "phone"),
        ("you reach her at forty one fifteen fifty five fifty one", "", "phone"),
        ("it is plus four four two oh seven nine four six oh nine five eight thanks", "", "phone"),
        ("text me on 0 7 7 double 0 900 triple 1 please", "", "phone"),
        ("reach me on for one five triple five oh one four too", "", "phone"),
        ("Reach me on +44 20 7946 0958, please.", "+44 20 7946 0958", "phone"),
        ("Her cell is (212) 555-0186, I think", "(212) 555-0186", "phone"),
        # hesitation and corrections inside
        ("my number is two one two uh five five no sorry five six oh one let me see nine nine ok", "", "phone"),
        # cards, accounts, identity numbers
        ("charge it to four one one one one one one one one one one one one one one one now", "", "card"),
        ("charge it to 5500 0055 5555 5559 now", "5500 0055 5555 5559", "card"),
        ("iban g b eight two w e s t one two three four five six nine eight seven six five four three two", "", "iban"),
        ("Send it to GB82 WEST 1234 5698 7654 32 today", "GB82 WEST 1234 5698 7654 32", "iban"),
        ("my account is eight one seven seven oh two four five and that is all", "", "account"),
        ("social security number five three six nine oh four three nine nine ok", "", "national_id"),
        ("My SSN is 536-90-4399.", "536-90-4399", "national_id"),
        ("nino is q q like queen one two three four five six c", "", "national_id"),
        ("passport number x two two three three four four five please", "", "passport"),
        ("my plate is charlie x one nine k b v so let me in", "", "license_plate"),
        ("it says BD51 SMR on the boot", "BD51 SMR", "license_plate"),
        ("hospital number double four nine one two oh six ok", "", "medical_record"),
        ("the postcode is m one three b n thanks", "", "postcode"),
        ("they are in EC1A 1BB somewhere", "EC1A 1BB", "postcode"),
        ("i p address one seven two dot sixteen dot oh dot nine ok", "", "ip"),
        ("ping 172.16.254.1 again", "172.16.254.1", "ip"),
        ("ping 2001:db8::8a2e:370:7334 again", "2001:db8::8a2e:370:7334", "ip"),
        # dates of birth
        ("she was born on the fourth of july nineteen seventy nine in ohio", "", "date_of_birth"),
        ("date of birth oh four oh seven seventy nine thank you", "", "date_of_birth"),
        ("Born 4 July 1979, in Ohio", "4 July 1979", "date_of_birth"),
        # addresses of mail and pages, users' names
        ("write to anna dot kovacs at fastpost dot org tomorrow", "", "email"),
        ("write to a k nineteen at g m x dot d e tomorrow", "", "email"),
        ("my email is river stone underscore four at mailbox dot co dot uk ok", "", "email"),
        ("Mail anna_k@fastpost.co.uk today", "anna_k@fastpost.co.uk", "email"),
        ("look at w w w dot anna kovacs dot net slash photos please", "", "url"),
        ("it is on https://anna-kovacs.net/cv since May", "https://anna-kovacs.net/cv", "url"),
        ("my handle is blue underscore heron forty two by the way", "", "username"),
        ("Ask @blue_heron42 about it", "@blue_heron42", "username"),
        # addresses and spelled names
        ("i live at forty two maple grove with two cats", "", "address"),
        ("Send it to 1207 Old Mill Road tomorrow", "1207 Old Mill Road", "address"),
        ("that's k o v a c s yes", "k o v a c s", "person"),
        ("that's K as in Kilo, O, V, A, C, S.", "K as in Kilo, O, V, A, C, S", "person"),
    ],
)  # fmt: skip
def test_a_value_is_found_from_its_first_word_to_its_last(text: str, value: str, label: str):
    found = find(text)
    assert [x for _, x in found] == [label], found
    if value:
        assert found == [(value, label)]
    else:
        words = text.split()
        inside = found[0][0].split()
        assert len(inside) >= 4
        assert " ".join(inside) in text
        left = " ".join(words).replace(found[0][0], " ").split()
        assert not {"one", "two", "four", "five", "six", "seven", "eight", "nine", "dot", "underscore"} - {"two"} & set(
            left
        )


@pytest.mark.parametrize(
    "text",
    [
        "that comes to four hundred and twelve dollars and thirty cents",
        "order number four four one nine two seven is on its way",
        "we're in room two one seven on the third floor",
        "flight b a two eight six leaves at three forty p m",
        "the meeting is on march third at half past ten",
        "version 3.12.4 came out in 2019 and 4.0.1 last week",
        "about 12,400 people voted and 3,200,500 did not",
        "he was born in nineteen sixty two",
        "go to bbc dot co dot uk and click on news",
        "write to support at example dot com",
        "let's look at the dot net conference at nine to five",
        "there are four of us and i want one for you too",
        "from 1200 to 1500 people came in 2012 and 2016",
        "one two three four go",
        "call 911 or 112 at once",
        "Call 1-800-555-0199 for help",
        "NASA and the BBC said so in the USA",
        "we won three two and they lost five nil",
        "one of two three four bedroom houses on the main street",
    ],
)
def test_numbers_of_nobody_stay(text: str):
    assert find(text) == []


@pytest.mark.parametrize(
    ("text", "value", "label"),
    [
        # the name of a value right before it
        ("Tel:020 7946 0958 ok", "020 7946 0958", "phone"),
        ("phone=+442079460958 ok", "+442079460958", "phone"),
        ("tel:+44-20-7946-0958 ok", "+44-20-7946-0958", "phone"),
        ("Card:5500005555555559 ok", "5500005555555559", "card"),
        ("Card no.5500-0055-5555-5559 ok", "5500-0055-5555-5559", "card"),
        ("IBAN:GB82WEST12345698765432 ok", "GB82WEST12345698765432", "iban"),
        ("passport:X22334455 ok", "X22334455", "passport"),
        ("ip=172.16.254.1, ok", "172.16.254.1", "ip"),
        # something right behind it
        ("ring 555-0142's voicemail", "555-0142", "phone"),
        ("it is 020-7946-0958;ext=12 ok", "020-7946-0958", "phone"),
        ("mail anna@fastpost.org's owner", "anna@fastpost.org", "email"),
        ("on 172.16.254.1:8080 ok", "172.16.254.1", "ip"),
        ("😀5500005555555559😀 ok", "5500005555555559", "card"),
        ("📞+442079460958 ok", "+442079460958", "phone"),
        # digits and signs of other scripts, and what nobody sees
        ("call ٠٢٠٧٩٤٦٠٩٥٨ now", "٠٢٠٧٩٤٦٠٩٥٨", "phone"),
        ("call ०२०७९४६०९५८ now", "०२०७९४६०९५८", "phone"),
        ("call 𝟎𝟐𝟎𝟕𝟗𝟒𝟔𝟎𝟗𝟓𝟖 now", "𝟎𝟐𝟎𝟕𝟗𝟒𝟔𝟎𝟗𝟓𝟖", "phone"),
        ("call 0️⃣2️⃣0️⃣7️⃣9️⃣4️⃣6️⃣0️⃣9️⃣5️⃣8️⃣ now", "0️⃣2️⃣0️⃣7️⃣9️⃣4️⃣6️⃣0️⃣9️⃣5️⃣8️⃣", "phone"),
        ("call 0207\u00ad946\u200b0958 now", "0207\u00ad946\u200b0958", "phone"),
        ("5500\u20110055\u20115555\u20115559 ok", "5500\u20110055\u20115555\u20115559", "card"),
        ("anna＠fastpost．org now", "anna＠fastpost．org", "email"),
        # corrections of a part of a written number
        ("It's 555-0142, sorry, 0147, okay.", "555-0142, sorry, 0147", "phone"),
        ("It's 415-555-0142. No, 0147!", "415-555-0142. No, 0147", "phone"),
        ("It's 07700 900123, no sorry, 124 ok.", "07700 900123, no sorry, 124", "phone"),
    ],
)  # fmt: skip
def test_a_value_is_found_whatever_is_written_beside_it_and_in_whatever_digits(text: str, value: str, label: str):
    assert find(text) == [(value, label)]
    assert find(f"\u202e{text}") == [(value, label)]


@pytest.mark.parametrize(
    "text",
    [
        "it sold 12¹ of 2019² copies",
        "see chapter:5 and verse:12 at 10:30",
        "fe80::1 and x:y and a=b",
        "ratio=3 level:4 😀5😀",
        "no.5 is alive",
    ],
)
def test_what_is_written_beside_numbers_makes_no_values(text: str):
    assert [x for x in find(text) if x[1] != "ip"] == []


@pytest.mark.parametrize("edge", ["!", "😀", "(", "'s"])
def test_a_long_word_costs_what_its_length_does(edge: str):
    def seconds(count: int) -> float:
        begun = time.process_time()
        RULES.read(f"a{edge * count}b ok")
        return time.process_time() - begun

    seconds(1000)
    short, long = min(seconds(2000) for _ in range(3)), min(seconds(16_000) for _ in range(2))
    assert long < 24 * short + 0.01  # 64 times as much if each character were compared with all others


def test_offsets_are_of_the_text_whatever_stands_around():
    text = "  «Yes» — it's\t07700\u00a0900 123… ok"
    assert find(text) == [("07700\u00a0900 123", "phone")]


@pytest.mark.parametrize(
    ("context", "text", "value"),
    [
        ("What's the account number?", "Here, 40 11 27 93.", "40 11 27 93"),
        ("my number is six oh two\nmm hm", "five five five oh one", "five five five oh one"),
        ("my number is six oh two five five five oh one nine nine", "so that's 602-5550199?", "602-5550199"),
    ],
)
def test_a_question_or_a_first_half_in_an_earlier_segment_counts(context: str, text: str, value: str):
    assert [x for x, _ in find(text, context)] == [value]


@pytest.mark.parametrize(
    ("context", "text", "value", "label"),
    [
        ("and which extension?", "oh four", "oh four", "phone"),
        ("", "dial extension oh four please", "oh four", "phone"),
        ("", "ask for extension 38", "38", "phone"),
        ("the last two digits please", "six one", "six one", "card"),
        ("", "the last four digits of my account are nine oh nine two thanks", "nine oh nine two", "account"),
        ("and the security code on the back?", "it's four oh nine", "four oh nine", "card"),
        ("could you type your pin", "double three uh eight one", "double three uh eight one", "account"),
        ("what is the house number?", "nineteen", "nineteen", "address"),
        ("which flat number?", "it's seven c", "seven c", "address"),
        ("the booking name please", "it's hotel oscar lima mike", "hotel oscar lima mike", "person"),
        ("what's your email?", "it's marlow at", "marlow at", "email"),
        ("", "sure it's oh eight one double two", "oh eight one double two", "phone"),
    ],
)
def test_a_short_value_that_is_asked_for_is_covered(context: str, text: str, value: str, label: str):
    found = find(text, context)
    assert [x for _, x in found] == [label]
    assert value.removeprefix("it's ") in found[0][0] or found[0][0] in value
    assert set(text.replace(found[0][0], "").split()) <= {"it's", "sure", "dial", "extension", "please", "ask", "for",
        "the", "last", "four", "digits", "of", "my", "account", "are", "thanks", "at"}  # fmt: skip


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ("", "we got an extension of ten days"),
        ("", "the extension opens in 2031 with 12 rooms"),
        ("", "over the last four years 12 people left"),
        ("", "they put pin number one on the map"),
        ("what's the order number?", "four one"),
        ("which house?", "the old one"),
        ("what's your email?", "i left it at home"),
        ("", "oh five people came"),
        ("what is your phone like?", "it's 98 months old, i got it for 351 at six thirty"),
        ("your card number?", "no sorry i meant tuesday at ten forty"),
        ("and the account?", "we have 412 chairs, 60 tables and 800 reps"),
        ("what's the account number?", "on account of the snow nine hundred and ten came"),
        ("is that your email?", "i'm off at fifty points"),
        ("what's your username?", "half three is too late"),
        ("where do you live?", "oh nice"),
        ("where do you live?", "it's a 3 bedroom thing"),
        ("when were you born?", "my aunt turns seventy seven"),
        ("your date of birth?", "that was eight hundred and ten times"),
        ("", "my passport ran out in november 2016"),
        ("", "her licence plate is a 2016 model"),
        ("", "count on my phone with me, four three two one go"),
        ("", "from 1980-1982 they lived there"),
        ("your medical record number?", "the ratio is two point seven five"),
        ("", "a b c d e f g is how the song goes"),
        ("", "that's two for one on my card until friday"),
        ("", "the zip on my jacket lasted six days"),
    ],
)
def test_numbers_of_ordinary_talk_stay_after_words_that_ask_for_one(context: str, text: str):
    assert find(text, context) == []


def test_an_unfinished_number_is_covered_at_the_end_after_words_that_ask_for_one():
    assert find("Sure, my number is 555.") == [("555", "phone")]
    assert find("i have 555") == []
    assert find("is it room 212") == []


def test_a_failed_check_digit_changes_label_or_score_and_releases_nothing():
    right, wrong = "pay with 4111 1111 1111 1111 ok", "pay with 4111 1111 1111 1112 ok"
    (good,), (bad,) = RULES.find(right), RULES.find(wrong)
    assert (good.start, good.end) == (bad.start, bad.end)
    assert good.label == "card"
    assert good.score > bad.score
    right, wrong = "my iban is GB82 WEST 1234 5698 7654 32", "my iban is GB82 WEST 1234 5698 7654 33"
    (good,), (bad,) = RULES.find(right), RULES.find(wrong)
    assert (good.start, good.end) == (bad.start, bad.end)
    assert good.score > bad.score
