"""Shapes of numbers and names of towns and streets, by locale.

In a shape `#` is a digit, `%` one from 1 to 9, `@` one from 2 to 9, `?` a capital letter; all else stands for itself.
"""

import random
from typing import NamedTuple

from encoder.train.data.pii.value import split_phrases, split_words


class LocaleShapes(NamedTuple):
    """What personal data looks like in a country."""

    phone: tuple[str, ...]
    account: tuple[str, ...]
    bank_code: tuple[str, ...]
    passport: tuple[str, ...]
    plate: tuple[str, ...]
    postcode: tuple[str, ...]
    """Empty: those of Faker."""
    towns: tuple[str, ...]
    """Beside Faker's, of which many are made up."""
    streets: tuple[str, ...]
    mail: tuple[str, ...]
    """Domains of mail, beside those of all countries."""
    day_first: bool
    """Whether a date in digits begins with the day."""
    currency: tuple[str, str, str]
    """Sign; one of it and several in words."""


_AMERICAN_PHONES = split_phrases("""
    (@##) @##-####, @##-@##-####, @##.@##.####, @##@##-####, @##@######, +1 @## @## ####, 1-@##-@##-####, +1 (@##)
    @##-####
""")
_STREETS = split_phrases("""
    Elm Street, Church Road, Mill Lane, Oak Avenue, Station Road, Park View, Hill Street, Green Lane, Bridge Street,
    Orchard Close, River Road, Maple Drive, Chapel Street, King Street, Queen Street, School Lane, Victoria Road,
    Garden Terrace, North Street, Harbour Way, Linden Grove, Market Square, Meadow Court, Cedar Crescent, Windmill Hill
""")

SHAPES: dict[str, LocaleShapes] = {
    "en_US": LocaleShapes(
        phone=_AMERICAN_PHONES,
        account=split_words("######## ######### ########## ############ ####-####-## ###-######-#"),
        bank_code=(),
        passport=split_words("######### ?########"),
        plate=split_phrases("???-####, ??? ####, #???###, ## ??###, ???-###, ?## ???, ###-???"),
        postcode=split_words("##### ##### ##### #####-####"),
        towns=split_phrases("""
            Tucson, Boise, Fort Wayne, Baton Rouge, Des Moines, Spokane, Saint Paul, El Paso, Grand Rapids, Duluth,
            Chattanooga, Santa Fe, Bangor, Yonkers, Little Rock, Sioux Falls, Anchorage, Tallahassee, Fargo, Topeka
        """),
        streets=(
            *_STREETS,
            *split_phrases("""
                Peachtree Boulevard, County Road 12, Lakeshore Parkway, 5th Avenue, 42nd Street,
                Sunset Trail, Highway 61
            """),
        ),
        mail=split_words("comcast.net verizon.net att.net aol.com sbcglobal.net"),
        day_first=False,
        currency=("$", "dollar", "dollars"),
    ),
    "en_GB": LocaleShapes(
        phone=split_phrases("""
            07### ######, 07### ### ###, 07#########, +44 7### ######, 020 %### ####, 0%%1 ### ####, 01%##
            ######, +44 20 %### ####, (01%##) ######
        """),
        account=("########",),
        bank_code=split_phrases("##-##-##, ## ## ##, ######"),
        passport=("#########",),
        plate=split_phrases("??## ???, ??##???, ?### ???, ???###?"),
        postcode=(),
        towns=split_phrases("""
            Leeds, Stoke-on-Trent, Milton Keynes, Swansea, Aberdeen, Kirkcaldy, Bury St Edmunds, Hull, Truro, Inverness,
            Ashby, Newcastle upon Tyne, Wolverhampton, Kettering, Bangor, Dundee, Rotherham, Lowestoft, Crewe, Hove
        """),
        streets=(
            *_STREETS,
            *split_phrases("The Crescent, Gloucester Mews, St John's Road, High Street, Abbey Walk, Coronation Street"),
        ),
        mail=split_words("btinternet.com sky.com virginmedia.com hotmail.co.uk yahoo.co.uk talktalk.net ntlworld.com"),
        day_first=True,
        currency=("£", "pound", "pounds"),
    ),
    "en_CA": LocaleShapes(
        phone=_AMERICAN_PHONES,
        account=split_words("####### ######### ############"),
        bank_code=split_phrases("#####-###, 0########"),
        passport=split_words("??######"),
        plate=split_phrases("??? ###, ???? ###, ###-???, ??? ####, ??-####"),
        postcode=(),
        towns=split_phrases("""
            Saskatoon, Moncton, Red Deer, Kelowna, Trois-Rivieres, Thunder Bay, Halifax, Medicine Hat,
            Sudbury, Gatineau, Lethbridge, Fredericton, Kamloops, Brandon, Whitehorse, Sarnia, Corner
            Brook, Nanaimo, Laval, Moose Jaw
        """),
        streets=(
            *_STREETS,
            *split_phrases(
                "Rue Saint Paul, Yonge Street, Portage Avenue, Concession Road 4, Laurier Street West, 104th Avenue"
            ),
        ),
        mail=split_words("rogers.com shaw.ca bell.net sympatico.ca telus.net videotron.ca"),
        day_first=False,
        currency=("$", "dollar", "dollars"),
    ),
    "en_AU": LocaleShapes(
        phone=split_phrases("04## ### ###, 04########, +61 4## ### ###, (0@) %### ####, 0@ %### ####, +61 @ %### ####"),
        account=split_words("###### ######## #########"),
        bank_code=split_phrases("###-###, ### ###, ######"),
        passport=split_words("?####### ??#######"),
        plate=split_phrases("???-###, ### ???, ??-##-??, #???-###, ??## ??"),
        postcode=("%###",),
        towns=split_phrases("""
            Geelong, Ballarat, Wagga Wagga, Cairns, Toowoomba, Mandurah, Launceston, Alice Springs, Bendigo, Wollongong,
            Mildura, Coffs Harbour, Mount Gambier, Dubbo, Rockhampton, Fremantle, Orange, Kalgoorlie, Darwin, Tamworth
        """),
        streets=(
            *_STREETS,
            *split_phrases("Wattle Street, Bunya Parade, Kookaburra Way, The Esplanade, Old Coach Road"),
        ),
        mail=split_words("bigpond.com optusnet.com.au iinet.net.au internode.on.net tpg.com.au"),
        day_first=True,
        currency=("$", "dollar", "dollars"),
    ),
    "en_IE": LocaleShapes(
        phone=split_phrases("""
            083 ### ####, 085 #######, 086 ### ####, 087 #######, +353 8% ### ####, 01 ### ####, (021) ###
            ####, 091 ######, +353 1 ### ####
        """),
        account=("########",),
        bank_code=split_phrases("9#-##-##, 9#####"),
        passport=split_words("??####### ?########"),
        plate=split_phrases("%#1-D-####, %#2-C-####, %#1 KE ####, %#2-G-###, %#1 LH #####, %#2 D #####"),
        postcode=split_phrases("D0% ?#?#, A%# ??##, T1# ?###, V9# ?#?#, H9# ?##?"),
        towns=split_phrases("""
            Galway, Sligo, Athlone, Tralee, Drogheda, Letterkenny, Ennis, Carlow, Naas, Dun Laoghaire, Clonmel, Mallow,
            Ballina, Kilkenny, Wexford, Bray, Castlebar, Longford, Tullamore, Youghal
        """),
        streets=(
            *_STREETS,
            *split_phrases("O'Connell Street, Shannon View, Ballymore Road, Patrick Street, Castle Drive, Fairgreen"),
        ),
        mail=split_words("eircom.net eir.ie hotmail.ie yahoo.ie"),
        day_first=True,
        currency=("€", "euro", "euros"),
    ),
    "en_IN": LocaleShapes(
        phone=split_phrases("""
            9#### #####, 9#########, +91 9#### #####, +91-8#########, 8### ### ###, 022 2### ####,
            080-4### ####, 07# ### #####
        """),
        account=split_words("########### ############ ############## ################"),
        bank_code=split_words("HDFC0###### SBIN0###### ICIC0###### PUNB0###### UTIB0######"),
        passport=split_words("?#######"),
        plate=split_phrases("MH ## ?? ####, KA##??####, DL #? ?? ####, TN-##-??-####, UP ## ? ####, KL ## ??? ####"),
        postcode=split_phrases("%#####, %## ###"),
        towns=split_phrases("""
            Nagpur, Coimbatore, Vadodara, Mysuru, Kochi, Guwahati, Indore, Jodhpur, Bhopal, Ranchi, Vellore, Shimla,
            Madurai, Panaji, Kanpur, Rajkot, Dehradun, Patna, Surat, Nashik
        """),
        streets=split_phrases("""
            MG Road, Gandhi Nagar, Nehru Street, Temple Road, 4th Cross Street, Lake View Road, Station
            Road, Church Street, Anna Salai, Ring Road, Shivaji Marg, Park Street, Sector 21, Civil Lines,
            Bazaar Street, Brigade Road, Hill Road
        """),
        mail=split_words("rediffmail.com yahoo.co.in sify.com in.com"),
        day_first=True,
        currency=("₹", "rupee", "rupees"),
    ),
}
"""By Faker's name of the locale."""

MEDICAL = split_phrases("########, #######, ?#######, ??######, ##-##-##, ### ### ##, H-#####-#, PT#####, ####/##")
"""Shapes of medical record numbers, which each hospital chooses."""
_CHOICES = {"#": "0123456789", "%": "123456789", "@": "23456789", "?": "ABCDEFGHJKLMNPQRSTUVWXYZ"}


def fill_shape(shape: str, rng: random.Random) -> str:
    """Draw a text of a shape."""
    return "".join(rng.choice(_CHOICES[c]) if c in _CHOICES else c for c in shape)
