output "rows" {
  description = "The number of messages, in total and in each part."
  value = {
    messages = source.messages.rows
    train    = transform.parts.train.rows
    test     = transform.parts.test.rows
  }
}

output "topic_coverage" {
  description = "The share of messages that get a topic from the rules."
  value       = label.topic.coverage.topic
}

output "accuracy" {
  description = "The student's accuracy on unseen messages, with its 95% interval."
  value       = evaluate.student.subjects.student.accuracy
}

output "macro_f1" {
  description = "The mean F1 score over all intents."
  value       = evaluate.student.subjects.student.macro_f1
}

output "serving" {
  description = "The digest of the deployed model."
  value       = deploy.prod.digest
}
