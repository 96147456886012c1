"""Slots without personal data: numbers, times, public names and pages that look like it."""

import datetime
import random
from collections.abc import Callable

from encoder.train.data.numbers import say_number
from encoder.train.data.pii.locales import LISTS, fill_shape
from encoder.train.data.pii.personal import MONTHS, make_date
from encoder.train.data.pii.persons import faker_of
from encoder.train.data.pii.value import Value, fold_accents, make_code, make_fixed, make_name, make_web, split_words

_WEEKDAYS = split_words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
_PAGE_WORDS = split_words("""
    wiki howto faq download releases forum bugs docs install index.html showthread manual network sound printing
    packages search latest setup community node blog news archive driver kernel main pool
""")
_DUMMIES = split_words("""
    127.0.0.1 0.0.0.0 255.255.255.0 255.255.255.255 224.0.0.1 2.6.15.4 10.04.4.1 1.2.3.4.5 6.06.1.2 3.10.0.514
""")


def cardinal(number: int) -> str:
    """Say a number in words: "two hundred five"."""
    return " ".join(say_number(f"{number:,}"))


class ImpersonalData:
    """Draws values that carry no label, for one dialogue."""

    def __init__(self, locale: str, rng: random.Random) -> None:
        self._locale = locale
        self._rng = rng

    def draw(self, slot: str) -> Value:
        """Draw the value of a slot, such as "price"."""
        if slot in LISTS.impersonal:
            return make_code("", fill_shape(self._rng.choice(LISTS.impersonal[slot]), self._rng))
        if slot in _LISTED:
            return Value("", "name", *_shown(self._rng.choice(_LISTED[slot])))
        if slot in _SIGNED:
            return make_web("", self._rng.choice(LISTS.words[slot]))
        return _DRAWN[slot](self)

    def hotline(self) -> Value:
        """Number that everybody may call."""
        return make_code("", fill_shape(self._rng.choice(LISTS.locales[self._locale].hotline), self._rng))

    def website(self) -> Value:
        """Page of the public."""
        return make_web("", self._rng.choice(("", "", "www.")), self._rng.choice(LISTS.sites))

    def public_mail(self) -> Value:
        """Address of an office."""
        firm = self._rng.choice(LISTS.companies).lower()
        return make_web("", self._rng.choice(LISTS.offices), "@", f"{firm}.{self._rng.choice(('com', 'org', 'co.uk'))}")

    def price(self) -> Value:
        """Price in the currency of the locale."""
        rng = self._rng
        sign, one, several = LISTS.locales[self._locale].currency
        whole = rng.choice(
            (
                rng.randint(1, 20),
                rng.randint(10, 99),
                rng.randint(100, 999),
                rng.randint(10, 90) * 100,
                rng.randint(1000, 90_000),
            )
        )
        cents = rng.choice((0, 0, 99, 50, rng.randint(1, 99)))
        unit = one if whole == 1 and not cents else several
        if not cents:
            return make_fixed(f"{sign}{whole:,}", f"{cardinal(whole)} {unit}", f"{whole} {unit}")
        written = f"{sign}{whole:,}.{cents:02d}"
        spoken = rng.choice((f"{cardinal(whole)} {unit} {cardinal(cents)}", f"{cardinal(whole)} {cardinal(cents)}"))
        return make_fixed(written, spoken, f"{whole} {unit} {cents}")

    def year(self) -> Value:
        """A year, of this century mostly."""
        year = self._rng.choice((self._rng.randint(1850, 2030), self._rng.randint(1990, 2026)))
        return make_fixed(str(year), " ".join(say_number(str(year))), str(year))

    def version(self) -> Value:
        """Version of a program."""
        rng = self._rng
        parts = [str(rng.randint(0, 20)) for _ in range(rng.choice((2, 2, 3)))]
        sign = rng.choice(("point", "point", "dot"))
        return make_fixed(".".join(parts), f" {sign} ".join(cardinal(int(x)) for x in parts), f" {sign} ".join(parts))

    def score(self) -> Value:
        """Score of a game."""
        a, b = self._rng.randint(0, 6), self._rng.randint(0, 6)
        zero = self._rng.choice(("nil", "zero", "nothing"))
        words = [cardinal(x) if x else zero for x in (a, b)]
        return make_fixed(f"{a}-{b}", self._rng.choice((" ", " to ")).join(words), f"{a} {b}")

    def time(self) -> Value:
        """Time of day."""
        rng = self._rng
        hour, minute = rng.randint(1, 12), rng.choice((0, 0, 15, 30, 45, rng.randint(1, 59)))
        half = rng.choice(("am", "pm", "pm"))
        said = f"{cardinal(hour)} {'oh ' if 0 < minute < 10 else ''}{cardinal(minute) if minute else ''}".strip()
        if not minute and rng.random() < 0.4:
            return make_fixed(f"{hour} o'clock", f"{said} o'clock", f"{hour} o'clock")
        if minute in (15, 30) and rng.random() < 0.4:
            past = "quarter past" if minute == 15 else "half past"
            return make_fixed(f"{past} {cardinal(hour)}", f"{past} {cardinal(hour)}", f"{past} {hour}")
        return make_fixed(f"{hour}:{minute:02d} {half}", f"{said} {half}", f"{hour} {minute:02d} {half}")

    def date(self) -> Value:
        """Day of a year that is nobody's birthday."""
        rng = self._rng
        day, month = rng.randint(1, 28), rng.choice(MONTHS)
        said = " ".join(say_number(f"{day}th"))
        low = month.lower()
        forms = (
            (f"{day} {month}", f"{said} {low}", f"{day} {low}"), (f"{month} {day}", f"{low} {said}", f"{low} {day}"),
            (f"{day} of {month}", f"{said} of {low}", f"{day} of {low}"),
        )  # fmt: skip
        return make_fixed(*rng.choice(forms))

    def stamp(self) -> Value:
        """Date of something that happened, as logs and messages have it, often with the time."""
        rng = self._rng
        day = datetime.date(2026, 6, 1) - datetime.timedelta(days=rng.randint(0, 365 * 60))
        value = make_date("", day, LISTS.locales[self._locale].day_first, rng)
        clock = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
        end = rng.choice(("", f" {clock}", f" {clock}:{rng.randint(0, 59):02d}"))
        return value._replace(written=value.written + end)

    def company(self) -> Value:
        """Name of a firm: a known one, one called after people, or an invented word, often with what it is."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.3:
            name = rng.choice(LISTS.companies)
        elif kind < 0.6:
            faker = faker_of(self._locale)
            faker.seed_instance(rng.getrandbits(64))
            name = fold_accents(faker.company())
        else:
            name = "".join(rng.sample(LISTS.brand_parts, rng.randint(2, 3))).capitalize()
            if rng.random() < 0.5:
                name += f" {rng.choice(LISTS.company_ends)}"
        return make_name("", name)

    def dummy(self) -> Value:
        """Address of no machine, or a version that looks like one."""
        return make_code("", self._rng.choice(_DUMMIES), "ip")

    def docpage(self) -> Value:
        """Page of a project that everybody reads, mostly with a path."""
        rng = self._rng
        start = rng.choice(("", "", "http://", "http://www.", "https://", "https://www."))
        words = [rng.choice(_PAGE_WORDS) for _ in range(rng.choice((0, 1, 2, 2)))]
        number = str(rng.randint(1, 99_999)) if words and rng.random() < 0.3 else ""
        end = "".join(f"/{x}" for x in words) + (f"/{number}" if number else "")
        return make_web("", start, rng.choice(LISTS.words["docpage"]), end)

    def nick(self) -> Value:
        """What somebody in a chat room is called, who is addressed by it."""
        rng = self._rng
        end = rng.choice(("", "", "", str(rng.randint(1, 99)), "_", "__", "-away", str(rng.randint(100, 2009))))
        kind = rng.random()
        if kind < 0.25:
            return make_web("", rng.choice(LISTS.words["nick"]))
        if kind < 0.5:
            name = rng.choice(LISTS.hobbies)
        elif kind < 0.75:
            faker = faker_of(self._locale)
            faker.seed_instance(rng.getrandbits(64))
            name = fold_accents(faker.first_name()).lower()[: rng.randint(3, 8)].strip()
            name += rng.choice(("", "", rng.choice("bcdfgklmnprst")))
        else:
            name = "".join(rng.sample(LISTS.brand_parts, 2))
        name = name.capitalize() if rng.random() < 0.25 else name
        return make_web("", f"{name}{end}")

    def expiry(self) -> Value:
        """Month and year at which a card ends."""
        month, year = self._rng.randint(1, 12), self._rng.randint(26, 34)
        return make_fixed(
            f"{month:02d}/{year}",
            f"{'oh ' if month < 10 else ''}{cardinal(month)} {cardinal(year)}",
            f"{month:02d} {year}",
        )

    def count(self) -> Value:
        """A small number."""
        number = self._rng.choice((self._rng.randint(2, 12), self._rng.randint(2, 120)))
        said = cardinal(number)
        return make_fixed(self._rng.choice((str(number), said)) if number < 13 else str(number), said, str(number))

    def quantity(self) -> Value:
        """A large number."""
        number = self._rng.choice(
            (self._rng.randint(101, 999), self._rng.randint(1, 99) * 1000, self._rng.randint(1000, 999_999))
        )
        return make_fixed(f"{number:,}", cardinal(number), str(number))

    def percent(self) -> Value:
        """A share."""
        number = self._rng.randint(1, 99)
        if self._rng.random() < 0.4:
            tenth = self._rng.randint(1, 9)
            return make_fixed(
                f"{number}.{tenth}%",
                f"{cardinal(number)} point {cardinal(tenth)} percent",
                f"{number} point {tenth} percent",
            )
        return make_fixed(f"{number}%", f"{cardinal(number)} percent", f"{number} percent")

    def age(self) -> Value:
        """Years of somebody's life."""
        number = self._rng.randint(3, 95)
        return make_fixed(str(number), cardinal(number), str(number))

    def temperature(self) -> Value:
        """Degrees."""
        number, tenth = self._rng.randint(15, 41), self._rng.randint(0, 9)
        return make_fixed(
            f"{number}.{tenth} degrees",
            f"{cardinal(number)} point {cardinal(tenth)} degrees",
            f"{number} point {tenth} degrees",
        )

    def measure(self) -> Value:
        """A weight or a length."""
        number = self._rng.choice((self._rng.randint(2, 99), self._rng.randint(100, 900)))
        unit = self._rng.choice(("kilos", "metres", "feet", "inches", "pounds", "miles", "millimetres", "litres"))
        return make_fixed(f"{number} {unit}", f"{cardinal(number)} {unit}", f"{number} {unit}")

    def room(self) -> Value:
        """Number of a room, sometimes with a letter."""
        number = str(
            self._rng.choice((self._rng.randint(1, 60), self._rng.randint(100, 999), self._rng.randint(1000, 2400)))
        )
        return make_code("", number + self._rng.choice(("", "", "", "A", "B", "C")))


def _shown(text: str) -> tuple[str, tuple[str, ...]]:
    value = make_name("", text)
    return value.written, value.parts


_SIGNED = ("host", "package", "path")
"""Slots whose names have digits and signs."""
_LISTED: dict[str, tuple[str, ...]] = {
    "famous": LISTS.famous,
    "city": LISTS.cities,
    "country": LISTS.countries,
    "publicplace": LISTS.public_places,
    "weekday": _WEEKDAYS,
    "month": MONTHS,
    **{slot: names for slot, names in LISTS.words.items() if slot not in (*_SIGNED, "nick", "docpage")},
}
_DRAWN: dict[str, Callable[[ImpersonalData], Value]] = {
    "hotline": ImpersonalData.hotline,
    "website": ImpersonalData.website,
    "publicmail": ImpersonalData.public_mail,
    "price": ImpersonalData.price,
    "year": ImpersonalData.year,
    "version": ImpersonalData.version,
    "score": ImpersonalData.score,
    "time": ImpersonalData.time,
    "date": ImpersonalData.date,
    "stamp": ImpersonalData.stamp,
    "company": ImpersonalData.company,
    "dummy": ImpersonalData.dummy,
    "docpage": ImpersonalData.docpage,
    "nick": ImpersonalData.nick,
    "expiry": ImpersonalData.expiry,
    "count": ImpersonalData.count,
    "quantity": ImpersonalData.quantity,
    "percent": ImpersonalData.percent,
    "age": ImpersonalData.age,
    "temperature": ImpersonalData.temperature,
    "measure": ImpersonalData.measure,
    "room": ImpersonalData.room,
}
IMPERSONAL_SLOTS = frozenset((*LISTS.impersonal, *LISTS.words, *_LISTED, *_DRAWN))
"""Names of the slots without personal data."""
