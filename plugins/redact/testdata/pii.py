"""Writes pii.jsonl: texts with personal numbers that have check digits, and where they are.

    pip install faker==40.63.0 python-stdnum==2.2
    python pii.py > pii.jsonl

The numbers come from Faker, of which python-stdnum finds those of states valid. None is
anybody's. A fifth of the texts has none of them, but other numbers. The seed was chosen before the
first measurement, and the recognizers were not changed for this set.
"""

import importlib
import json
import random
import re

from faker import Faker

SEED, ROWS = 20261130, 1200

# By kind: the locales of Faker, and what people call the number.
BANK = {
    "iban": (["en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "fi_FI"], ["IBAN", "account", "bank account"]),
    "card": (["en_US", "en_GB"], ["card", "credit card", "Visa", "cc"]),
}
STATES = {
    "it_fiscal_code": ("it_IT", "it.codicefiscale", ["codice fiscale", "tax code"]),
    "pl_pesel": ("pl_PL", "pl.pesel", ["PESEL", "number"]),
    "fi_hetu": ("fi_FI", "fi.hetu", ["henkilötunnus", "identity code"]),
    "br_cpf": ("pt_BR", "br.cpf", ["CPF"]),
    "nl_bsn": ("nl_NL", "nl.bsn", ["BSN", "burgerservicenummer"]),
    "se_personal": ("sv_SE", "se.personnummer", ["personnummer", "personal number"]),
    "no_birth_number": ("no_NO", "no.fodselsnummer", ["fødselsnummer", "number"]),
    "tr_id": ("tr_TR", "tr.tckimlik", ["TC kimlik no", "Kimlik"]),
    "fr_nir": ("fr_FR", "fr.nir", ["numéro de sécurité sociale", "NIR"]),
}
SENTENCES = [
    "Hello, my {name} is {value}. Please call back.",
    "{name}: {value}",
    "Could you check the {name} {value} for {person}?",
    "{person} wrote on {date}: the new {name} ({value}) works, order {order}.",
    "I sent {amount} euros to {value} on {date}, it is my {name}",
    '{{"id": {order}, "{name}": "{value}"}}',
    "{value} is the {name} that I use since {date}; invoice {order}-{amount}.",
    "Name\t{person}\n{name}\t{value}\nOrder\t{order}",
]
OTHERS = [
    "Order {order} left on {date} and costs {amount}.{cents} euros.",
    "ISBN 978-3-16-14{order}-0, page {amount}, and version 1.{cents}.{amount}",
    "commit {hex} in build {order}: {amount} tests, {cents} failed",
    "Parcel {long} arrives on {date}, between 10:{cents} and 12:{cents}.",
    "The sensor sent {order},{amount},{long} at {stamp}.",
    "{person} scored {amount} of {order} points; case {order}/{cents}",
]


def number(kind: str, fakers: dict[str, Faker], rnd: random.Random) -> tuple[str, str]:
    """Returns a number and a name for it."""
    if kind in BANK:
        locales, names = BANK[kind]
        fake = fakers[rnd.choice(locales)]
        # Faker's Maestro cards begin with ranges that no network uses.
        value = fake.iban() if kind == "iban" else fake.credit_card_number(rnd.choice(["visa", "mastercard", "amex", "discover", "jcb", "diners"]))
        separator = rnd.choice(["", "", " ", "-"] if kind == "card" else ["", " "])
        return separator.join(re.findall(".{1,4}", value)), rnd.choice(names)
    locale, module, names = STATES[kind]
    valid = importlib.import_module("stdnum." + module).is_valid
    while True:
        value = fakers[locale].cpf() if kind == "br_cpf" else fakers[locale].ssn()
        if valid(value):
            return value, rnd.choice(names)


def main() -> None:
    rnd = random.Random(SEED)
    locales = {loc for locs, _ in BANK.values() for loc in locs} | {s[0] for s in STATES.values()}
    fakers = {loc: Faker(loc) for loc in sorted(locales)}
    for fake in fakers.values():
        fake.seed_instance(rnd.random())
    kinds = [*BANK, *BANK, *BANK, *STATES]
    for _ in range(ROWS):
        known = {
            "person": fakers["en_US"].name(),
            "date": f"20{rnd.randrange(10, 27)}-{rnd.randrange(1, 13):02}-{rnd.randrange(1, 29):02}",
            "order": rnd.randrange(10 ** rnd.randint(3, 9)),
            "amount": rnd.randrange(10_000),
            "cents": f"{rnd.randrange(60):02}",
            "hex": f"{rnd.randrange(16**12):012x}",
            "long": rnd.randrange(10**11, 10 ** rnd.randint(12, 18)),
            "stamp": rnd.randrange(1_500_000_000_000, 1_800_000_000_000),
        }
        if rnd.random() < 0.2:
            row = {"text": rnd.choice(OTHERS).format(**known)}
        else:
            kind = rnd.choice(kinds)
            value, name = number(kind, fakers, rnd)
            row = {"text": rnd.choice(SENTENCES).format(name=name, value=value, **known), "kind": kind, "value": value}
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
