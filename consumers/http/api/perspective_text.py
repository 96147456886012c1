"""What the endpoints of Perspective's API tell of a text: its sentences, its language, and offsets in UTF-16."""

import re
import unicodedata
from bisect import bisect_left
from collections import Counter

LANGUAGE = "en"
"""The language that is scored."""
UNKNOWN = "und"
"""What BCP 47 calls a language that cannot be told."""
MAX_SENTENCES = 64
"""Limit of the sentences of one text; those beyond it are parts of the last one."""
MIN_HITS = 3
"""Function words of a language that a text needs to count as not English."""

_END = re.compile(r"[.!?…。！？]+[\"'”’)\]}»]*(?=\s)|[。！？]+|[\n\r\x85\u2028\u2029]+")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'“‘])(?:(?:[^\W\d_]\.)+[^\W\d_]|[A-HJ-Z]|mrs?|ms|dr|prof|st|vs|etc|jr|sr|no|approx|dept|gov|gen|sen"
    r"|rep|capt|col|sgt|inc|ltd|co|corp|fig)\Z",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_SCRIPTS = {
    "ARABIC": "ar",
    "BENGALI": "bn",
    "CJK": "zh",
    "CYRILLIC": "ru",
    "DEVANAGARI": "hi",
    "GREEK": "el",
    "HANGUL": "ko",
    "HEBREW": "he",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "TAMIL": "ta",
    "THAI": "th",
}
"""Usual language of a script, by the first word of its letters' names."""
_MANY = 256
"""Letters and words that are looked at: a language is told by few."""

FUNCTION_WORDS = {
    LANGUAGE: (
        "the a an and or but if of to in on at by for from with about is are was were be been am do does did have "
        "has had not no so as that this these those it its he she his her him they them their we us our you your "
        "i my me what who how when why where there here just like can could will would should all some any get "
        "got go im dont u ur up out off then than too very because cant"
    ),
    "de": (
        "der das ist und nicht ich du wir ihr sie ein eine einen einem einer dem den des mit auf für von zu zum "
        "zur auch aber oder wenn dass wie nur noch schon mich mir dich dir uns euch sich doch damit bitte sind "
        "bin bist hast habe haben wird kann bei nach über aus kein keine mein dein sein dieser diese dieses immer "
        "sehr"
    ),
    "fr": (
        "le la les un une des du et est pas je tu il elle nous vous ils elles que qui dans avec sur pour mais ou "
        "où donc ce cette ces mon ton son ma ta sa mes tes ses très plus suis es sont être avoir fait c'est j'ai "
        "n'est tout bien aussi comme par aux ne se quoi"
    ),
    "es": (
        "no me el la los las un una unos y es que de del en con por para pero como muy más yo tú él ella ellos "
        "nosotros usted ustedes mi tu su se lo le les este esta esto ese esa eso son está estás estoy hay cuando "
        "porque qué quién todo también ya sin sobre eres"
    ),
    "pt": (
        "o os um uma e é não que de do da dos das em no na nos nas com por para mas como muito mais eu tu ele ela "
        "eles nós você vocês meu minha teu seu sua se isso este esta esse essa são está estou foi quando porque "
        "também já sem tudo pra"
    ),
    "it": (
        "il lo la gli le un uno una e è non che di del della dei delle con per ma come molto più io tu lui lei "
        "noi voi loro mio mia tuo tua suo sua si questo questa quello sono sei siamo ho hai anche perché quando "
        "tutto ci cosa nel nella"
    ),
    "nl": (
        "de het een en is niet ik je jij hij zij wij jullie van voor met op aan te dat dit die er maar ook als "
        "dan nog wel geen mijn jouw zijn haar heeft heb hebben wordt naar bij uit omdat waarom hoe wat zo"
    ),
    "sv": (
        "och att det är inte jag du han hon vi ni de en ett som på av för med till om men så har hade var vara "
        "från min din sin detta den där här när vad mycket också"
    ),
    "pl": (
        "i w na z do nie to jest się że jak co ale czy ja ty on ona my wy oni tak już tylko dla po od za przez "
        "jego jej mnie cię ten ta są był była być mam masz"
    ),
    "tr": (
        "ve bir bu da de için ile çok ama ne mi mı değil ben sen biz siz onlar gibi daha var yok olarak kadar her "
        "şey senin benim neden nasıl"
    ),
    "id": (
        "yang dan di ke dari ini itu tidak saya kamu aku dia kami kita mereka adalah untuk dengan pada juga akan "
        "sudah ada bisa karena seperti apa sangat jangan"
    ),
}
"""Frequent words of the languages that are told apart. Words that several have count for each of them."""
_LANGUAGES = {name: frozenset(words.split()) for name, words in FUNCTION_WORDS.items()}
_FOREIGN = frozenset().union(*(words for name, words in _LANGUAGES.items() if name != LANGUAGE))


def cut_sentences(text: str) -> list[tuple[int, int]]:
    """Return the sentences of a text as its marks and line breaks show them, without the white space around.

    Returns:
        Begin and end of each in characters, end exclusive: at least one, and at most `MAX_SENTENCES`.
    """
    sentences, begin = [], 0
    for found in _END.finditer(text):
        is_dot = text[found.start()] == "." and found.end() - found.start() == 1
        if is_dot and _ABBREVIATION.search(text, max(begin, found.start() - 16), found.start()):
            continue
        if (part := _trim(text, begin, found.end())) is not None:
            sentences.append(part)
        begin = found.end()
        if len(sentences) == MAX_SENTENCES - 1:
            break
    if (part := _trim(text, begin, len(text))) is not None:
        sentences.append(part)
    return sentences or [(0, len(text))]


def _trim(text: str, begin: int, end: int) -> tuple[int, int] | None:
    part = text[begin:end]
    left = len(part) - len(part.lstrip())
    return (begin + left, begin + len(part.rstrip())) if part.strip() else None


def detect_language(text: str) -> str:
    """Return the language of a text, in doubt English.

    A text counts as another language if most of its letters are of a script that English is not written in, or if it
    has at least `MIN_HITS` different function words of one language of `FUNCTION_WORDS`, more than twice as many as
    English ones that this language does not have. Names, emoji and a few words in Latin letters are never a reason.
    """
    if not text.isascii() and (script := _detect_script(text)):
        return script
    words = {x.replace("’", "'") for x in _WORD.findall(text.lower())[:_MANY]}
    if len(words & _FOREIGN) < MIN_HITS:  # the usual case
        return LANGUAGE
    hits = {name: words & known for name, known in _LANGUAGES.items()}
    best = max(hits, key=lambda name: len(hits[name]))
    is_sure = len(hits[best]) >= MIN_HITS and len(hits[best]) > 2 * len(hits[LANGUAGE] - hits[best])
    return best if is_sure else LANGUAGE


def _detect_script(text: str) -> str | None:
    """Return the usual language of the script of most letters, None if it is that of English."""
    letters = _LETTER.findall(text)[:_MANY]
    scripts = Counter(unicodedata.name(x, UNKNOWN).partition(" ")[0] for x in letters)
    foreign = {name: count for name, count in scripts.items() if name in _SCRIPTS}
    if sum(foreign.values()) * 2 <= len(letters):
        return None
    if foreign.get("HIRAGANA", 0) + foreign.get("KATAKANA", 0):
        return "ja"
    return _SCRIPTS[max(foreign, key=foreign.__getitem__)]


class Utf16:
    """Offsets of a text in UTF-16 code units, the characters of Java and JavaScript."""

    def __init__(self, text: str) -> None:
        self._pairs = [] if text.isascii() else [i for i, character in enumerate(text) if character > "\uffff"]

    def at(self, offset: int) -> int:
        """Convert an offset in code points to UTF-16 code units."""
        return offset + bisect_left(self._pairs, offset)
