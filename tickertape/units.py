"""The words of numbers in reports of any country: scales, currencies. Tables alone."""

from __future__ import annotations

SCALES = {
    "hundred": 1e2,
    "thousand": 1e3,
    "k": 1e3,
    "lakh": 1e5,
    "lakhs": 1e5,
    "million": 1e6,
    "millions": 1e6,
    "mln": 1e6,
    "mn": 1e6,
    "mm": 1e6,
    "m": 1e6,
    "crore": 1e7,
    "crores": 1e7,
    "cr": 1e7,
    "billion": 1e9,
    "billions": 1e9,
    "bln": 1e9,
    "bn": 1e9,
    "b": 1e9,
    "trillion": 1e12,
    "trillions": 1e12,
    "trn": 1e12,
    "tn": 1e12,
    "t": 1e12,
    # German, French, Swedish, Danish, Dutch, Spanish, Portuguese
    "tsd": 1e3,
    "mio": 1e6,
    "millionen": 1e6,
    "miljoner": 1e6,
    "milj": 1e6,
    "miljoen": 1e6,
    "millones": 1e6,
    "milh\u00f5es": 1e6,
    "mrd": 1e9,
    "mld": 1e9,
    "mdr": 1e9,
    "milliarden": 1e9,
    "milliard": 1e9,
    "milliards": 1e9,
    "miljarder": 1e9,
    "miljard": 1e9,
    "bilh\u00f5es": 1e9,
    "mil millones": 1e9,
    "basis point": 1e-2,
    "basis points": 1e-2,
    "bps": 1e-2,
    "bp": 1e-2,
    "cents": 1e-2,
    "cent": 1e-2,
    "pence": 1e-2,
    "p": 1e-2,
    "c": 1e-2,
}
PERCENT = "%"
PERCENT_WORDS = (
    "percent", "per cent", "pct", "point", "points", "percentage point", "percentage points", "pp",
)  # fmt: skip
PERCENT_SCALES = frozenset({"basis point", "basis points", "bps", "bp"})
# Before another scale: "3.2 lakh crore", "two hundred million"
MULTIPLES = {"hundred": 1e2, "thousand": 1e3, "lakh": 1e5}
# Before a currency's code: MSEK, TEUR; and between it and the number: "EURm 4", "\u20ac million 4"
PREFIXES = {"t": 1e3, "k": 1e3, "m": 1e6, "mn": 1e6, "md": 1e9, "bn": 1e9}
AHEAD = {
    "k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "mln": 1e6, "mio": 1e6, "million": 1e6,
    "millions": 1e6, "bn": 1e9, "mrd": 1e9, "billion": 1e9, "billions": 1e9,
}  # fmt: skip
# What no text has that writes numbers as English does
CONTINENTAL = frozenset(
    """
    tsd mio millionen miljoner milj miljoen millones milh\u00f5es mrd mld mdr milliarden
    milliard milliards miljarder miljard bilh\u00f5es
    """.split()  # noqa: SIM905 -- readable as text
)

# How a currency is written before a number: what it stands for. "$" may be any dollar.
SIGNS = {
    "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "HK$": "HKD", "NT$": "TWD",
    "S$": "SGD", "NZ$": "NZD", "R$": "BRL", "MX$": "MXN", "Rs.": "INR", "Rs": "INR", "RMB": "CNY",
    "RM": "MYR", "Rp": "IDR", "Rp.": "IDR", "R": "ZAR",
    "kr": "kr", "Fr.": "CHF", "z\u0142": "PLN", "$": "$", "\u20ac": "EUR", "\u00a3": "GBP",
    "\u00a5": "\u00a5", "\u20b9": "INR", "\u20a9": "KRW", "\u20bd": "RUB", "\u20ba": "TRY",
    "\u20aa": "ILS", "\u20ab": "VND", "\u0e3f": "THB", "\u20a6": "NGN", "\u20b1": "PHP",
}  # fmt: skip
CODES = """
    USD EUR GBP JPY CHF NOK SEK DKK ISK PLN CZK HUF RON TRY RUB ILS AED SAR QAR KWD ZAR NGN KES EGP
    INR PKR BDT LKR CNY CNH HKD TWD KRW SGD MYR THB IDR PHP VND AUD NZD CAD MXN BRL ARS CLP COP PEN
""".split()  # noqa: SIM905 -- readable as text
NAMES = {
    "dollar": "$", "dollars": "$", "euro": "EUR", "euros": "EUR", "pounds": "GBP",
    "sterling": "GBP", "yen": "JPY", "yuan": "CNY", "renminbi": "CNY", "rupees": "INR",
    "francs": "CHF", "kroner": "kr", "kronor": "kr", "reais": "BRL", "pesos": "MXN",
    "rubles": "RUB", "kr": "kr", "d'euros": "EUR", "d\u2019euros": "EUR",
    "rupee": "INR",
}  # fmt: skip
AFTER = {
    "\u20ac": "EUR", "\u00a3": "GBP", "z\u0142": "PLN", "\u20bd": "RUB", "\u20ba": "TRY",
    "\u20ab": "VND",
}  # fmt: skip
MAY_BE = {
    "$": frozenset("USD AUD CAD HKD TWD SGD NZD MXN ARS CLP COP".split()),  # noqa: SIM905
    "\u00a5": frozenset({"JPY", "CNY"}),
    "kr": frozenset({"NOK", "SEK", "DKK", "ISK"}),
}
