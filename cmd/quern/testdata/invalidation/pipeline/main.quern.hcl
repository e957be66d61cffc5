quern {
  required_plugins {
    test = { version = ">= 1.0" }
  }
}

variable "address" {
  type = string
}

variable "key" {
  type      = string
  default   = "a"
  sensitive = true
}

variable "tone" {
  type    = string
  default = "polite"
}

variable "spare" {
  type    = string
  default = "unused"
}

locals {
  intents = ["card", "cash"]
}

source "csv" "tickets" {
  path = "data/*.csv"
}

source "csv" "exam" {
  path = "exam.csv"
}

transform "map" "clean" {
  input   = source.tickets
  columns = { text = trimspace(row.text), topic = row.topic }
}

model "openai" "teacher" {
  name            = "teacher"
  base_url        = "https://models.example/v1"
  address         = var.address
  api_key         = var.key
  temperature     = 0
  timeout         = "30s"
  max_concurrency = 2

  price {
    input  = 1
    output = 2
  }
}

prompt "classify" {
  system = "Be ${var.tone} to customers."
  user   = "Message: ${row.text}"
}

# Reads the column text.
label "llm" "intent" {
  input   = transform.clean
  model   = model.teacher
  prompt  = prompt.classify
  classes = local.intents
}

# Reads the column topic.
label "test_upper" "loud" {
  input = transform.clean
  text  = row.topic
}

train "linear" "student" {
  dataset     = label.intent
  text        = row.text
  target      = row.intent
  calibration = "none"
  min_rows    = 1
}

evaluate "classification" "student" {
  dataset  = source.exam
  subjects = { student = train.student }
  target   = row.topic
}

gate "good" {
  condition     = evaluate.student.subjects.student.accuracy.value >= 0
  error_message = "Too inaccurate."
}

deploy "directory" "prod" {
  artifact   = train.student
  path       = "serve/current"
  depends_on = [gate.good]
}
