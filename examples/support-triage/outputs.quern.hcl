output "rows" {
  description = "The number of messages, in total and in each part."
  value = {
    messages = transform.clean.rows
    train    = transform.parts.train.rows
    test     = transform.parts.test.rows
  }
}

output "labeled" {
  description = "The share of training messages that the teacher assigned to a queue, with each prompt."
  value = {
    plain    = label.plain.coverage.plain
    examples = label.examples.coverage.examples
  }
}

output "accuracy" {
  description = "The share of unseen messages that each subject sends to the correct queue, with its 95% interval."
  value       = { for name, subject in evaluate.queues.subjects : name => subject.accuracy }
}

output "student_less_teacher" {
  description = "The paired difference that the gate checks."
  value       = evaluate.queues.differences["student - teacher"].accuracy
}

output "examples_less_plain" {
  description = "The change in the teacher's accuracy from four examples in the prompt."
  value       = evaluate.queues.differences["teacher_examples - teacher"].accuracy
}

output "serving" {
  description = "The digest of the deployed model."
  value       = deploy.prod.digest
}
