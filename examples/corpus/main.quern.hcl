# Three kinds of messy text become a training set. Each stage says in columns what
# it found, and the filter after it says what is left out.

# ---- Collect

source "text" "books" {
  path = "data/books/*.txt"
}

source "jsonl" "advisories" {
  path = "data/advisories.jsonl"
}

source "csv" "messages" {
  path  = "data/sms.tsv"
  quote = ""
}

# One message in twenty is for evaluation. Messages that occur twice, with small
# differences, can be in both parts.
transform "split" "messages" {
  input  = source.messages
  shares = { training = 0.95, evaluation = 0.05 }
}

transform "chunk" "books" {
  input = source.books
  text  = row.text
  size  = 1500
}

transform "map" "passages" {
  input   = transform.books
  columns = { text = trimspace(row.chunk) }
}

transform "map" "notices" {
  input   = source.advisories
  columns = { text = row.text }
}

transform "map" "training_messages" {
  input   = transform.messages.training
  columns = { text = row.text }
}

transform "concat" "collected" {
  inputs = [transform.passages, transform.notices, transform.training_messages]
  origin = "source"
  names  = ["books", "advisories", "messages"]
}

# ---- Clean

label "language" "language" {
  input = transform.collected
  text  = row.text
}

transform "quality" "quality" {
  input = label.language
  text  = row.text

  gopher_repetition {
    # Most messages have too few words for these.
    without = ["max_top_2gram", "max_top_3gram", "max_top_4gram"]
  }

  rule "another language" {
    when = row.language != "en" && row.language != "und"
  }

  rule "too short" {
    when = length(row.text) < 20
  }

  rule "license of Project Gutenberg" {
    when = row.source == "books" && strcontains(row.text, "Project Gutenberg")
  }
}

transform "filter" "good" {
  input = transform.quality
  where = row.quality_keep
}

transform "redact" "private" {
  input         = transform.good
  columns       = ["text"]
  kinds         = ["email", "ip", "phone", "secret"]
  phone_regions = ["GB", "US"]
  bare_numbers  = true # a number in a message is a phone number, whatever is next to it
}

# After redact, because texts that differ only in a phone number are duplicates then.
transform "dedup" "unique" {
  input     = transform.private
  method    = "near"
  text      = row.text
  threshold = 0.7
  keep      = length(row.text)
}

transform "decontaminate" "seen" {
  input = transform.unique
  text  = row.text

  against "messages" {
    dataset  = transform.messages.evaluation
    question = row.text
  }
}

transform "filter" "clean" {
  input = transform.seen
  where = row.seen != "quoted"
}

transform "map" "corpus" {
  input   = transform.clean
  columns = { source = row.source, text = row.text }
}

# ---- Tokenize, describe, and publish

transform "tokenize" "tokens" {
  input     = transform.corpus
  text      = row.text
  tokenizer = "o200k_base"
}

transform "pack" "training" {
  input  = transform.tokens
  tokens = row.tokens
  length = 512
}

evaluate "profile" "corpus" {
  dataset = transform.corpus
}

gate "fit" {
  condition = alltrue([
    evaluate.corpus.duplicate_share == 0,
    evaluate.corpus.columns.text.null_share == 0,
  ])
  error_message = "The corpus has duplicates, or rows without a text."
}

deploy "dataset" "corpus" {
  dataset     = transform.corpus
  path        = "serve/corpus"
  format      = "jsonl"
  title       = "A small corpus of books, security advisories, and text messages"
  description = "Made from the texts in `data`, whose README.md names their licenses."
  depends_on  = [gate.fit]
}
