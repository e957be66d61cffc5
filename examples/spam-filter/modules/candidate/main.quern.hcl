# Trains one candidate for the spam filter.

variable "messages" {
  description = "The messages to learn from."
  type        = dataset({ text = string, label = string })
}

variable "word_ngrams" {
  description = "The maximum length of word n-grams."
  type        = number
}

variable "char_ngrams" {
  description = "The maximum length of character n-grams."
  type        = number
}

train "linear" "filter" {
  dataset      = var.messages
  text         = row.text
  target       = row.label
  word_ngrams  = var.word_ngrams
  char_ngrams  = var.char_ngrams
  class_weight = "balanced" # spam is rare
}

output "model" {
  description = "The trained filter."
  type        = model("predict")
  value       = train.filter
}
