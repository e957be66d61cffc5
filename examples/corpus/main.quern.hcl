# Three kinds of messy text become a training set: deduplicated, redacted, free of
# the evaluation data, and tokenized.

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
