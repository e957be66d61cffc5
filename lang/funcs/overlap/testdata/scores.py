# Computes the reference scores in scores.json: pip install nltk==3.10.4 rouge-score==0.1.2 sacrebleu==2.6.0
import json, re, sys, unicodedata
from nltk.translate.gleu_score import sentence_gleu
from nltk.translate.meteor_score import meteor_score
from nltk.stem.snowball import SnowballStemmer
from rouge_score import rouge_scorer
import sacrebleu

class NoSynonyms:
    def synsets(self, word): return []

class Tokens:
    def tokenize(self, text): return words(text)

def words(text):
    keep = lambda c: unicodedata.category(c)[0] in "LM" or unicodedata.category(c) == "Nd"
    return "".join(c if keep(c) else " " for c in text.lower()).split()

guide = [
  "It is a guide to action that ensures that the military will forever heed Party commands",
  "It is the guiding principle which guarantees the military forces always being under the command of the Party",
  "It is the practical guide for the army always to heed the directions of the party",
]
cases = [
  ("It is a guide to action which ensures that the military always obeys the commands of the party", guide),
  ("It is to insure the troops forever hearing the activity guidebook that party direct", guide),
  ("The cat is on the mat.", ["The cat sat on the mat."]),
  ("the the the the the the the", ["The cat is on the mat.", "There is a cat on the mat."]),
  ("The quick brown fox jumps over the lazy dog", ["The quick brown dog jumps on the log."]),
  ("Hello", ["Hello"]),
  ("Hello there", ["Goodbye"]),
  ("He was running to the running shops, happily studying 3.5 studies at 10-20% off.", ["He runs to the shop to study happily: 3.5 study hours, 10-20 % off"]),
  ("Your card was declined because the &quot;PIN&quot; was wrong; please try again.", ["The card payment was declined: wrong PIN. Please try once more, or call +44 20 7946 0000."]),
  ("police killed the gunman", ["police kill the gunman", "the gunman kill police"]),
  ("the gunman kill police", ["police kill the gunman"]),
  ("Die Straße war naß, sehr naß!", ["Die Straße ist naß und dunkel.", "Sehr naß war die Straße!"]),
  ("Łódź jest piękna, naïve café", ["łódź jest duża — naïve café"]),
  ("a b c d e f g", ["a c b d f e g"]),
  ("a b", ["a b c d e f g h"]),
  ("a b c d e f g h", ["a b"]),
  ("one, two; three (four) [five] {six} ~ ^ _ `x` 1,000.5 -- 7-8 $9 100% C++ AT&T it's end-\nline", ["one two three: four, five, six ~ ^ _ 1,000.5 7-8 $9, 100 % C++ AT&T its endline"]),
]
plain = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rouge3", "rougeL"])
ours = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rouge3", "rougeL"], tokenizer=Tokens())
stem = SnowballStemmer("english")
out = []
for text, refs in cases:
    scorer = plain if all(t.isascii() for t in [text, *refs]) else ours
    best = scorer.score_multi(refs, text)
    c = {"text": text, "references": refs}
    for k in ["rouge1", "rouge2", "rouge3", "rougeL"]:
        s = best[k]
        c[k] = [s.precision, s.recall, s.fmeasure]
    c["bleu"] = sacrebleu.sentence_bleu(text, refs).score / 100
    c["gleu"] = sentence_gleu([words(r) for r in refs], words(text))
    c["meteor"] = meteor_score([words(r) for r in refs], words(text), stemmer=stem, wordnet=NoSynonyms())
    out.append(c)
json.dump({"source": "rouge-score 0.1.2 (its own tokens for ASCII, else words of letters, marks and digits), sacrebleu 2.6.0 sentence_bleu, NLTK 3.10.4 sentence_gleu and meteor_score (Snowball's English stems, no synonyms), by scores.py", "cases": out}, sys.stdout, indent=1, ensure_ascii=False)
print()
