# Trains a classifier on customers' messages, and deploys it only if it is good
# enough. See README.md.

source "csv" "messages" {
  path = "data/*.csv"
}

transform "sql" "clean" {
  inputs = { messages = source.messages }
  query  = <<-SQL
    select distinct trim(regexp_replace(text, '\s+', ' ', 'g')) as text, category as intent
    from messages
    where length(trim(text)) between ${var.text_length.min} and ${var.text_length.max}
  SQL
}

transform "split" "parts" {
  input  = transform.clean
  by     = row.text # a message always stays in the same part
  shares = { train = 0.9, test = 0.1 }
}

# A coarse label from plain rules, to see what the messages are about. The first
# rule that matches decides; a message that matches none has no topic.
label "rules" "topic" {
  input = transform.parts.train

  rule "identity" {
    when  = strcontains(lower(row.text), "identity") || strcontains(lower(row.text), "verif")
    label = "identity"
  }

  rule "top up" {
    when  = strcontains(lower(row.text), "top up") || strcontains(lower(row.text), "top-up") || strcontains(lower(row.text), "topped up")
    label = "top up"
  }

  rule "transfer" {
    when  = strcontains(lower(row.text), "transfer") || strcontains(lower(row.text), "beneficiar")
    label = "transfer"
  }

  rule "exchange" {
    when  = strcontains(lower(row.text), "exchange") || strcontains(lower(row.text), "currenc")
    label = "exchange"
  }

  rule "cash" {
    when  = strcontains(lower(row.text), "cash") || strcontains(lower(row.text), "atm") || strcontains(lower(row.text), "withdraw")
    label = "cash"
  }

  rule "card" {
    when  = strcontains(lower(row.text), "card") || strcontains(lower(row.text), " pin")
    label = "card"
  }
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
  condition     = evaluate.student.subjects.student.accuracy.low >= var.least_accuracy
  error_message = "The student's accuracy may be below ${var.least_accuracy * 100}%: its 95% interval is ${format("%.1f", 100 * evaluate.student.subjects.student.accuracy.low)}% to ${format("%.1f", 100 * evaluate.student.subjects.student.accuracy.high)}%."
}

deploy "directory" "prod" {
  artifact   = train.student
  path       = "serve/current"
  depends_on = [gate.good]
}
