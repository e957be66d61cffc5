# A pipeline whose store was written by quern 0.1.0. Later versions must read it.

variable "least_accuracy" {
  type    = number
  default = 0.05
}

variable "token" {
  type      = string
  default   = "canary"
  sensitive = true
}

source "csv" "messages" {
  path = "data/messages.csv"
}

source "jsonl" "annotations" {
  path = "data/annotations.jsonl"
}

transform "map" "clean" {
  input   = source.messages
  columns = { text = lower(trimspace(row.text)), intent = row.intent, id = row.id }
}

transform "filter" "kept" {
  input = transform.clean
  where = length(row.text) > 3 && row.text != var.token
}

transform "split" "parts" {
  input  = transform.kept
  by     = row.text
  shares = { train = 0.7, test = 0.3 }
}

label "rules" "topic" {
  input = transform.parts.train

  rule "card" {
    when  = strcontains(row.text, "card")
    label = "card"
  }

  rule "cash" {
    when  = strcontains(row.text, "cash")
    label = "cash"
  }
}

label "vote" "consensus" {
  input     = source.annotations
  item      = row.id
  annotator = row.who
  label     = row.answer
  method    = "majority"
}

train "linear" "student" {
  dataset = label.topic
  text    = row.text
  target  = row.intent
}

evaluate "classification" "student" {
  dataset  = transform.parts.test
  subjects = { student = train.student }
  target   = row.intent
}

gate "good" {
  condition     = evaluate.student.subjects.student.accuracy.value >= var.least_accuracy
  error_message = "The student is not good enough."
}

deploy "directory" "prod" {
  artifact   = train.student
  path       = "serve/current"
  depends_on = [gate.good]
}

output "rows" {
  value = { kept = transform.kept.rows, consensus = label.consensus.rows }
}

output "accuracy" {
  value = evaluate.student.subjects.student.accuracy.value
}
