"""Writes national.json: numbers that python-stdnum 2.2 finds valid, and others.

    python national.py > national.json

Every number is made up at random; none is anybody's.
"""

import importlib
import json
import random
import string

MODULES = {
    "us_ssn": "us.ssn", "us_itin": "us.itin", "uk_nhs": "gb.nhs", "de_tax_id": "de.idnr", "fr_nir": "fr.nir", "es_dni": "es.dni",
    "es_nie": "es.nie", "it_fiscal_code": "it.codicefiscale", "nl_bsn": "nl.bsn", "pl_pesel": "pl.pesel", "se_personal": "se.personnummer",
    "fi_hetu": "fi.hetu", "dk_cpr": "dk.cpr", "no_birth_number": "no.fodselsnummer", "be_national": "be.nn", "ch_ahv": "ch.ssn",
    "at_svnr": "at.vnr", "pt_nif": "pt.nif", "ie_pps": "ie.pps", "ca_sin": "ca.sin", "au_tfn": "au.tfn", "br_cpf": "br.cpf",
    "br_cnpj": "br.cnpj", "ar_cuit": "ar.cuit", "cl_rut": "cl.rut", "mx_curp": "mx.curp", "in_aadhaar": "in_.aadhaar", "in_pan": "in_.pan",
    "cn_resident": "cn.ric", "kr_rrn": "kr.rrn", "th_id": "th.pin", "za_id": "za.idnr", "tr_id": "tr.tckimlik", "il_id": "il.idnr",
    "ru_inn": "ru.inn", "ro_cnp": "ro.cnp", "bg_egn": "bg.egn", "cz_birth_number": "cz.rc", "ee_id": "ee.ik", "si_emso": "si.emso",
    "gr_amka": "gr.amka", "hr_oib": "hr.oib", "is_kennitala": "is_.kennitala",
}  # fmt: skip

# d a digit, a a letter, y m k a year, month, or day of two digits, anything else itself.
SHAPES = {
    "us_ssn": "ddd-dd-dddd", "us_itin": "9dd-dd-dddd", "uk_nhs": "ddd ddd dddd", "de_tax_id": "ddddddddddd", "fr_nir": "1ymdddddddddd",
    "es_dni": "dddddddda", "es_nie": "Xddddddda", "it_fiscal_code": "RSSMRAyTkAddda", "nl_bsn": "ddddddddd", "pl_pesel": "ymkddddd",
    "se_personal": "ymk-dddd", "fi_hetu": "kmy-ddda", "dk_cpr": "kmy-dddd", "no_birth_number": "kmyddddd", "be_national": "ymkddddd",
    "ch_ahv": "756.dddd.dddd.dd", "at_svnr": "ddddkmy", "pt_nif": "2dddddddd", "ie_pps": "ddddddda", "ca_sin": "ddd ddd ddd",
    "au_tfn": "ddd ddd ddd", "br_cpf": "ddd.ddd.ddd-dd", "br_cnpj": "dd.ddd.ddd/0001-dd", "ar_cuit": "20-dddddddd-d", "cl_rut": "dd.ddd.ddd-d",
    "mx_curp": "BOXWymkHNERXNdd", "in_aadhaar": "dddd dddd dddd", "in_pan": "AAAPadddda", "cn_resident": "11010119ymkdddd", "kr_rrn": "ymk-1dddddd",
    "th_id": "d-dddd-ddddd-dd-d", "za_id": "ymkdddd0dd", "tr_id": "ddddddddddd", "il_id": "ddddddddd", "ru_inn": "dddddddddddd",
    "ro_cnp": "1ymkdddddd", "bg_egn": "ymkdddd", "cz_birth_number": "ymk/dddd", "ee_id": "3ymkdddd", "si_emso": "km9dddddddd",
    "gr_amka": "kmyddddd", "hr_oib": "ddddddddddd", "is_kennitala": "kmy-ddd9",
}  # fmt: skip


def draw(shape: str, rnd: random.Random) -> str:
    out = ""
    for c in shape:
        out += {
            "d": lambda: str(rnd.randrange(10)),
            "a": lambda: rnd.choice(string.ascii_uppercase),
            "y": lambda: f"{rnd.randrange(40, 99)}",
            "m": lambda: f"{rnd.randrange(1, 13):02}",
            "k": lambda: f"{rnd.randrange(1, 29):02}",
        }.get(c, lambda: c)()
    return out


def main() -> None:
    rnd = random.Random(1)
    out = {}
    for kind, name in MODULES.items():
        module = importlib.import_module("stdnum." + name)
        valid: list[str] = []
        invalid: list[str] = []
        for _ in range(400_000):
            text = draw(SHAPES[kind], rnd)
            into = valid if module.is_valid(text) else invalid
            if len(into) < 20:
                into.append(text)
            if len(valid) == len(invalid) == 20:
                break
        out[kind] = {"valid": valid, "invalid": invalid}
    print(json.dumps(out, indent=1, ensure_ascii=False))


main()
