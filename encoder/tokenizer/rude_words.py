"""List of rude words: the words that people disguise, so the only ones whose disguises are undone.

A word that is not listed is read as it is written. *Hard* words are swear words and slurs: nothing harmless looks like
them when masked (`f***`). The others are insults and threats, which are disguised less often. A *seam* is the place in
a word at which people write it in two parts or end a sentence ("dumb-ass", "kill.er"), so a sign there hides nothing.
"""

from typing import NamedTuple

_FIRST = "fuck"
_HARD_VERBS = "bugger wank piss shag skullfuck mindfuck cock+suck"
_HARD_NOUNS = """
    ass+fuck+er cunt+face knob+end gay+lord jail+bait mongoloid pen+is orgasm vagina trash+bitch shit bull+shit bat+shit
    horse+shit chicken+shit dog+shit dip+shit dumb+shit shit+bag shit+head shit+hole shit+face shit+show shit+stain
    bitch cunt ass arse dumb+ass jack+ass fat+ass smart+ass lazy+ass bad+ass ass+hole arse+hole ass+hat ass+wipe
    ass+clown bastard dick dick+head dick+wad dick+face cock cock+head prick pussy twat tit titty boob fuck+face
    fuck+head fuck+wit fuck+tard fuck+boy mother+fuck+er mother+fuck+ing cluster+fuck dumb+fuck whore slut skank
    hooker faggot fag dyke tranny homo shemale nigger nigga coon kike chink gook spic paki wetback rag+head towel+head
    retard libtard fucktard douche douche+bag cum+shot cum+slut jizz dildo butt+hole butt+plug ball+sack nut+sack
    ball+bag blow+job hand+job bell+end knob+head turd tosser slag schlong milf bollock jerk+off
"""
_HARD_WORDS = """
    skanky mofo mofos motherfucka mothafucka fagot fagots nigguh niggah niggas dick+suck+er cock+suck+ing shitty
    shittier shittiest shitting shitted bullshitter bullshitting bitchy bitching bitched bitch+ass bitchin slutty
    pissy titties pussies goddamn goddamned damn damned dammit damnit retarded whoring cumming cunty cuntish assfuck
    asshole motherfuckin fucken fuckery fuckup fuckoff arsed bollocks whored faggy faggotry shithouse
"""
_VERBS = """
    suck kill murder rape hate strangle slaughter torture stab hang behead bomb shoot lynch harass screw troll
"""
_NOUNS = """
    idiot moron imbecile cretin dim+wit nit+wit half+wit air+head block+head bone+head meat+head pea+brain bird+brain
    loser scum scum+bag dirt+bag sleaze+bag creep pervert perv pedo paedo pedophile paedophile psycho psychopath
    lunatic maniac nut+job nut+case weirdo freak clown fatso fatty swine vermin parasite cockroach sub+human nazi
    fascist racist sexist rapist terrorist low+life degenerate coward liar crook thug noob dork jerk twerp bimbo tramp
    slob buffoon dunce dumbo dolt simpleton imbecile bully weakling snow+flake incel trash garbage filth suicide
    bastardo scoundrel wretch loony crack+head junkie skin+head jihadi infidel killer murderer hater sucker fool leech
    muppet pillock plonker numpty minger slapper
"""
_WORDS = """
    stupid stupidly stupidity stupidest stupider dumb dumber dumbest idiotic moronic pathetic worth+less use+less
    brain+less spine+less gut+less ugly uglier ugliest disgusting disgust disgusted disgrace disgraceful filthy trashy
    ignorant illiterate incompetent brain+dead hateful hated creepy pervy perverted psychotic repulsive revolting
    despicable worthlessness crap crappy sucky porn porno horny slutshame stfu hell hellish imbecilic cretinous obese
    fatass loathsome scummy sleazy crybaby whiner whiny
"""


_VOWELS = "aeiou"


class RudeWord(NamedTuple):
    """A word with its kind, its seams (numbers of letters before each), and its place in the list."""

    text: str
    hard: bool
    seams: frozenset[int]
    rank: int


def _inflections(word: str, is_verb: bool) -> list[str]:
    """Give the word with its endings, `+` before each."""
    forms = [word, f"{word}+{'es' if word.endswith(('s', 'sh', 'ch')) else 's'}"]
    if not is_verb:
        return forms + ([f"{word[:-1]}ies"] if word[-1] == "y" else [])
    stem = word.removesuffix("e")
    if word[-1] in "bgt" and word[-2] in _VOWELS and word[-3] not in _VOWELS:
        stem += word[-1]
    return forms + [f"{stem}+{ending}" for ending in ("ed", "er", "ers", "ing", "in", "ings")]


def _list_words() -> dict[str, RudeWord]:
    words: dict[str, RudeWord] = {}
    for text, hard, inflect, is_verb in (
        (_FIRST, True, True, True),
        (_HARD_NOUNS, True, True, False),
        (_HARD_VERBS, True, True, True),
        (_HARD_WORDS, True, False, False),
        (_VERBS, False, True, True),
        (_NOUNS, False, True, False),
        (_WORDS, False, False, False),
    ):
        for entry in text.split():
            for form in _inflections(entry, is_verb) if inflect else [entry]:
                parts = form.split("+")
                seams = frozenset(sum(map(len, parts[:i])) for i in range(1, len(parts)))
                word = "".join(parts)
                words.setdefault(word, RudeWord(word, hard, seams, len(words)))
    return words


RUDE_WORDS = _list_words()
"""Rude words in lower case; of two that a mask fits, the first is meant."""
