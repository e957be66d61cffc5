# Makes the PDF documents in this folder with several producers, and words.json: the
# words of each, in order, as poppler's pdftotext and pdfminer read them.
#
# Run with reportlab 5.1.0, fpdf2 2.8.9, weasyprint 70.0, matplotlib 3.11.2, typst, pikepdf 10.18.0,
# pdfminer.six 20260107, and pdftotext 22.12.0:  python make.py
import json
import os
import re
import subprocess

import fpdf
import matplotlib
import pikepdf
import typst
import weasyprint
from matplotlib import pyplot
from pdfminer.high_level import extract_text
from PIL import Image
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table

# Lewis Carroll, Alice's Adventures in Wonderland (in the public domain), and other scripts.
TEXT = """Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or twice she had peeped into the book her sister was reading, but it had no pictures or conversations in it, “and what is the use of a book,” thought Alice “without pictures or conversations?”

So she was considering in her own mind (as well as she could, for the hot day made her feel very sleepy and stupid), whether the pleasure of making a daisy-chain would be worth the trouble of getting up and picking the daisies, when suddenly a White Rabbit with pink eyes ran close by her.

Ein Café in Zürich kostet 5,50 €. Największa różnica: żółć. Ελληνικά. Русский текст."""
FONT = os.path.join(os.path.dirname(matplotlib.__file__), "mpl-data/fonts/ttf/DejaVuSans.ttf")


def reportlab():
    pdfmetrics.registerFont(TTFont("DejaVu", FONT))
    style = getSampleStyleSheet()["Normal"]
    style.fontName = "DejaVu"
    pages = []
    for i in range(2):
        pages += [Paragraph(f"Chapter {i + 1}", style), *(Paragraph(p, style) for p in TEXT.split("\n\n")), Table([["id", "name"], ["1", "Alice"]]), PageBreak()]
    SimpleDocTemplate("reportlab.pdf", title="Alice & Co", author="Lewis Carroll", invariant=1).build(pages)


def by_fpdf():
    pdf = fpdf.FPDF()
    pdf.add_font("d", fname=FONT)
    pdf.set_font("d", size=12)
    pdf.set_title("By fpdf2")
    pdf.add_page()
    pdf.multi_cell(0, text=TEXT)
    pdf.output("fpdf2.pdf")


def by_typst():
    source = '#set document(title: "Typst", author: "A. Author", date: datetime(year: 2026, month: 1, day: 31))\n#set page(columns: 2)\n#set par(justify: true)\n#set text(hyphenate: true)\n= Heading\n$n + 1 = 2$\n'
    with open("t.typ", "w") as out:
        out.write(source + TEXT)
    typst.compile("t.typ", output="typst.pdf")
    os.remove("t.typ")


def by_matplotlib():
    matplotlib.rcParams["pdf.fonttype"] = 42
    figure = pyplot.figure()
    figure.text(0.1, 0.5, "Text of a figure\nnaïve café")
    figure.savefig("matplotlib.pdf", metadata={"Title": "Figure"})


reportlab()
by_fpdf()
by_typst()
by_matplotlib()
weasyprint.HTML(string="<html lang=en><title>Weasy</title><style>p{hyphens:auto;text-align:justify;width:6cm}</style><h1>Heading</h1>" + "".join(f"<p>{p}</p>" for p in TEXT.split("\n\n"))).write_pdf("weasyprint.pdf")
with pikepdf.open("matplotlib.pdf") as pdf:
    pdf.save("protected.pdf", encryption=pikepdf.Encryption(owner="o", user="u", R=6))
    pdf.save("owner.pdf", encryption=pikepdf.Encryption(owner="o", user="", R=4))
    pdf.save("linearized.pdf", object_stream_mode=pikepdf.ObjectStreamMode.generate, linearize=True)
Image.new("RGB", (60, 80), "white").save("scan.pdf")

words = {}
for name in sorted(os.listdir(".")):
    if name.endswith(".pdf") and name not in ("protected.pdf", "scan.pdf"):
        poppler = subprocess.run(["pdftotext", name, "-"], capture_output=True, text=True, check=True).stdout
        words[name] = {"poppler": re.findall(r"\w+", poppler), "pdfminer": re.findall(r"\w+", extract_text(name))}
with open("words.json", "w") as out:
    json.dump(words, out, ensure_ascii=False, indent=0)
