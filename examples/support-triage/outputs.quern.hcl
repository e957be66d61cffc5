output "rows" {
  description = "How many messages there are, and on which side."
  value = {
    messages = transform.clean.rows
    train    = transform.parts.train.rows
    test     = transform.parts.test.rows
  }
}

output "labelled" {
  description = "The share of messages to learn from that the teacher gave a queue, with each prompt."
  value = {
    plain    = label.plain.coverage.plain
    examples = label.examples.coverage.examples
  }
}

output "accuracy" {
  description = "What share of unseen messages each subject sends to the right queue, with its 95 % interval."
  value       = { for name, subject in evaluate.queues.subjects : name => subject.accuracy }
}

output "student_less_teacher" {
  description = "The paired difference that the gate looks at."
  value       = evaluate.queues.differences["student - teacher"].accuracy
}

output "examples_less_plain" {
  description = "What four examples in the prompt are worth to the teacher."
  value       = evaluate.queues.differences["teacher_examples - teacher"].accuracy
}

output "serving" {
  description = "The digest of the model that is served."
  value       = deploy.prod.digest
}
