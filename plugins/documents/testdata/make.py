"""Writes the documents in this folder, and what other programs read in them.

python -m venv venv
venv/bin/pip install python-docx==1.2.0 openpyxl==3.1.5 ebooklib==0.20 warcio==1.8.1
venv/bin/python make.py

The texts are from "Alice's Adventures in Wonderland" (1865), which is in the public domain, and made up.
"""

import datetime
import email
import email.message
import email.policy
import email.utils
from email.headerregistry import Address
import io
import json
import mailbox
import os

import docx
import openpyxl
from ebooklib import epub

HERE = os.path.dirname(os.path.abspath(__file__))
WHEN = datetime.datetime(2026, 1, 31, 12, 30, tzinfo=datetime.timezone.utc)
ALICE = [
    "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or twice she had peeped into the book her sister was reading, but it had no pictures or conversations in it, “and what is the use of a book,” thought Alice “without pictures or conversations?”",
    "So she was considering in her own mind (as well as she could, for the hot day made her feel very sleepy and stupid), whether the pleasure of making a daisy-chain would be worth the trouble of getting up and picking the daisies, when suddenly a White Rabbit with pink eyes ran close by her.",
    "There was nothing so very remarkable in that; nor did Alice think it so very much out of the way to hear the Rabbit say to itself, “Oh dear! Oh dear! I shall be late!”",
]
oracle = {}


def path(name):
    return os.path.join(HERE, name)


def write_docx():
    d = docx.Document()
    d.core_properties.title = "Alice & the Rabbit"
    d.core_properties.author = "Lewis Carroll"
    d.core_properties.created = d.core_properties.modified = WHEN.replace(tzinfo=None)
    d.add_heading("Down the Rabbit-Hole", 1)
    for text in ALICE:
        d.add_paragraph(text)
    table = d.add_table(rows=2, cols=2)
    for i, text in enumerate(["name", "size", "Alice", "10 inches"]):
        table.cell(i // 2, i % 2).text = text
    d.add_paragraph("a\tb\nc")
    d.save(path("alice.docx"))
    d = docx.Document(path("alice.docx"))
    oracle["alice.docx"] = [p.text for p in d.paragraphs]


def write_epub():
    b = epub.EpubBook()
    b.set_identifier("alice")
    b.set_title("Alice")
    b.set_language("en")
    b.add_author("Lewis Carroll")
    chapters = []
    for i, text in enumerate(ALICE):
        c = epub.EpubHtml(title=f"Chapter {i + 1}", file_name=f"text/{i + 1}.xhtml", lang="en")
        c.content = f"<html><head/><body><h1>Chapter {i + 1}</h1><p>{text}</p><p>It&#8217;s <i>late</i>.</p></body></html>"
        b.add_item(c)
        chapters.append(c)
    b.spine = chapters
    b.add_item(epub.EpubNcx())
    epub.write_epub(path("alice.epub"), b)


def message(subject, sender, body, when, html=None, attachment=None):
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    m["Subject"] = subject
    m["From"] = sender
    m["To"] = (Address("Bob Öz", addr_spec="bob@example.org"), Address(addr_spec="carol@example.org"))
    m["Date"] = when
    m["Message-ID"] = "<first@example.org>"
    m.set_content(body)
    if html:
        m.add_alternative(html, subtype="html")
    if attachment:
        m.add_attachment(attachment, maintype="application", subtype="pdf", filename="Größe.pdf")
    return m


def write_email():
    sent = email.utils.format_datetime(WHEN)
    first = message("Grüße from Alice", "Alice Liddell <alice@example.org>", "Dear Bob,\n\nI shall be late.\nFrom here it is far.\n", sent, "<p>Dear <b>Bob</b></p>", b"%PDF-1.4 nothing")
    second = email.message.EmailMessage(policy=email.policy.SMTP)
    second["Subject"] = "Only HTML"
    second["From"] = "carol@example.org"
    second["Date"] = sent
    second.set_content("<html><head><style>p{}</style></head><body><h1>News</h1><p>First<br>second</p></body></html>", subtype="html")
    third = b"Subject: =?iso-8859-1?q?Caf=E9?=\r\nFrom: d@example.org\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nun caf\xe9\r\n"
    with open(path("alice.eml"), "wb") as f:
        f.write(first.as_bytes())
    box_path = path("three.mbox")
    if os.path.exists(box_path):
        os.remove(box_path)
    box = mailbox.mbox(box_path)
    for m in (first.as_bytes(), second.as_bytes(), third):
        added = mailbox.mboxMessage(email.message_from_bytes(m))
        added.set_from("alice@example.org", WHEN.timetuple())
        box.add(added)
    box.close()
    rows = []
    for m in mailbox.mbox(box_path):
        m = email.message_from_bytes(m.as_bytes(), policy=email.policy.default)
        rows.append({"subject": m["Subject"], "from": m["From"], "to": [str(a) for a in m["To"].addresses] if m["To"] else [], "text": m.get_body(("plain", "html")).get_content()})
    oracle["three.mbox"] = rows


HTML = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Alice  in Wonderland</title>
<meta name="author" content="Lewis Carroll"><meta name="description" content="A book.">
<script>var hidden = "hidden script";</script><style>p { color: red }</style></head>
<body><nav><ul><li><a href="/">Home</a></li><li><a href="/books">Books</a></li></ul></nav>
<main><article><h1>Down the Rabbit-Hole</h1>%s
<table><tr><th>name</th><th>size</th></tr><tr><td>Alice</td><td>10 inches</td></tr></table>
<pre>  kept
    as it is</pre></article></main>
<footer><p>Copyright nobody. <a href="https://example.org/terms">Terms</a></p></footer></body></html>
"""


def write_html():
    text = HTML % "\n".join(f"<p>{t}</p>" for t in ALICE)
    with open(path("alice.html"), "w", encoding="utf-8") as f:
        f.write(text)
    with open(path("latin.html"), "wb") as f:
        f.write('<html lang="fr"><head><meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1"><title>Caf\xe9</title></head><body><p>Un caf\xe9, s\'il vous pla\xeet.</p></body></html>'.encode("latin-1"))


def write_warc():
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter
    import gzip

    def record(w, url, status, headers, body, kind="response"):
        h = StatusAndHeaders(status, headers, protocol="HTTP/1.1") if kind == "response" else None
        r = w.create_warc_record(url, kind, payload=io.BytesIO(body), http_headers=h, warc_content_type="" if h else "text/plain", warc_headers_dict={"WARC-Date": "2026-01-31T12:30:00Z", "WARC-Record-ID": f"<urn:uuid:00000000-0000-0000-0000-{w.count:012d}>"})
        w.count += 1
        w.write_record(r)

    page = (HTML % "\n".join(f"<p>{t}</p>" for t in ALICE)).encode()
    for name, packed in (("pages.warc", False), ("pages.warc.gz", True)):
        with open(path(name), "wb") as f:
            w = WARCWriter(f, gzip=packed)
            w.count = 1
            info = w.create_warcinfo_record(name, {"software": "make.py"})
            w.write_record(info)
            record(w, "https://example.org/alice", "200 OK", [("Content-Type", "text/html; charset=utf-8")], page)
            record(w, "https://example.org/packed", "200 OK", [("Content-Type", "text/html"), ("Content-Encoding", "gzip")], gzip.compress(page, mtime=0))
            chunked = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (page[:100], page[100:])) + b"0\r\n\r\n"
            record(w, "https://example.org/chunked", "200 OK", [("Content-Type", "text/html"), ("Transfer-Encoding", "chunked")], chunked)
            record(w, "https://example.org/gone", "404 Not Found", [("Content-Type", "text/plain")], b"gone")
            record(w, "https://example.org/logo.png", "200 OK", [("Content-Type", "image/png")], b"\x89PNG\r\n\x1a\n")
            record(w, "https://example.org/text", "", [], "converted – text".encode(), "conversion")


def write_excel():
    w = openpyxl.Workbook()
    s = w.active
    s.title = "Orders"
    s.append(["id", "name", "price", "paid", "day", "at", "empty", "mixed"])
    s.append([1, "Alice", 2.5, True, datetime.date(2026, 1, 31), datetime.datetime(2026, 1, 31, 12, 30), None, 1])
    s.append([2, "Bob & Öz", 3, False, datetime.date(1900, 3, 1), datetime.datetime(1999, 12, 31, 23, 59, 59), None, "x"])
    s.append([None, None, None, None, None, None, None, None])
    s.append([9007199254740992, " spaced ", 1e300, None, None, None, None, None])
    for row in s.iter_rows(min_row=2, min_col=5, max_col=5):
        row[0].number_format = "yyyy-mm-dd"
    other = w.create_sheet("Other")
    other.append(["key", "value"])
    other.append(["a", "=1+1"])
    w.save(path("orders.xlsx"))


def main():
    write_docx()
    write_epub()
    write_email()
    write_html()
    write_warc()
    write_excel()
    with open(path("oracle.json"), "w", encoding="utf-8") as f:
        json.dump(oracle, f, ensure_ascii=False, indent=1)


main()
