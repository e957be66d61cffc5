# From messages to a classifier that is deployed only if it is good enough.
# Run "quern plan" to see what would happen, then "quern apply".

source "csv" "messages" {
  path = "messages.csv"
}

transform "split" "parts" {
  input  = source.messages
  by     = row.text # a message always stays on the same side
  shares = { train = 0.7, test = 0.3 }
}

train "linear" "student" {
  dataset = transform.parts.train
  text    = row.text
  target  = row.topic
}

evaluate "classification" "student" {
  dataset  = transform.parts.test
  subjects = { student = train.student }
  target   = row.topic
}

gate "good" {
  condition     = evaluate.student.subjects.student.accuracy.value >= 0.5
  error_message = "The classifier is right about less than half of the test messages."
}

deploy "directory" "prod" {
  artifact   = train.student
  path       = "serve/current"
  depends_on = [gate.good]
}

output "accuracy" {
  value = evaluate.student.subjects.student.accuracy
}
