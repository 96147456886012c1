"""Texts for the tests of the rules: talk with values of the generator, and words in any order."""

from functools import cache

from hypothesis import strategies as st

from encoder.train.data.pii.generate import generate_dialogues
from stream.rules.vocabulary import list_words

WORDS = list_words("""
    one two three four five six seven eight nine zero oh double triple forty twenty fifteen hundred thousand and
    a i b m see for to too as in like mike bravo plus dash dot at point underscore slash under score forward com
    net co uk gmail jane miller smith w www uh um let me no sorry mean wait then my number is phone call on card
    ending account sort code email username login website passport plate born date of birth third march may
    nineteen eighty the twenty first order flight room ip address postcode flat elm street park view court north
    dollars percent pm clock o'clock spell name M-I-L 411 5555 (415) 555-0142 4111 07700 900 AB12 SW1A 1AA @jo
    jo.lee@x.org 12/03/1982 192.168.0.1 $5 3.5 yes? it's Tel:020 SSN=536 no.41 ٠٢٠٧ 😀 4️⃣ 0142's 7946\u200b0958
    555\u20110142 192.168.0.1:80 +44207946\u00ad ;ext=4 5550142x12 IBAN:GB8 joe@x.org's
""")


@cache
def dialogues() -> tuple[str, ...]:
    """Turns of a generated dialogue, a line each."""
    return tuple("\n".join(turn.text for turn in x.turns) for x in generate_dialogues(150, 77))


salads = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from(("", "", "", "", "", ",", ".", "?"))), max_size=25
).flatmap(
    lambda words: st.lists(
        st.sampled_from((" ", " ", " ", " ", " ", " ", "  ", "\n")), min_size=len(words), max_size=len(words)
    ).map(lambda blanks: "".join(word + sign + blank for (word, sign), blank in zip(words, blanks, strict=True)))
)
"""Words, signs and line breaks in any order."""
turns = st.deferred(lambda: st.sampled_from(dialogues()))
"""Generated talk with values in the forms that people say and write."""
texts = st.one_of(salads, turns, st.text(max_size=30))
