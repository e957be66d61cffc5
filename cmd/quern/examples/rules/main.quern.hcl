# Messages labeled by rules, and the labels compared with those of people.
# Run "quern plan" to see what would happen, then "quern apply".

source "csv" "messages" {
  path = "messages.csv"
}

label "rules" "guess" {
  input = source.messages

  rule "card" {
    when  = strcontains(row.text, "card")
    label = "card"
  }
  rule "transfer" {
    when  = strcontains(row.text, "transfer")
    label = "transfer"
  }
}

evaluate "classification" "rules" {
  dataset  = label.guess
  subjects = { rules = row.guess }
  target   = row.topic
}

output "accuracy" {
  value = evaluate.rules.subjects.rules.accuracy
}
