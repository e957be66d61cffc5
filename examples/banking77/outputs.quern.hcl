output "rows" {
  description = "How many messages there are, and on which side."
  value = {
    messages = source.messages.rows
    train    = transform.parts.train.rows
    test     = transform.parts.test.rows
  }
}

output "topic_coverage" {
  description = "The share of messages that the rules give a topic."
  value       = label.topic.coverage.topic
}

output "accuracy" {
  description = "The student's accuracy on unseen messages, with its 95 % interval."
  value       = evaluate.student.subjects.student.accuracy
}

output "macro_f1" {
  description = "The mean of the intents' F1."
  value       = evaluate.student.subjects.student.macro_f1
}

output "serving" {
  description = "The digest of the model that is served."
  value       = deploy.prod.digest
}
