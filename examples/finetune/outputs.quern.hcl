output "rows" {
  description = "The number of questions, to learn from and to evaluate on."
  value       = { train = transform.train.rows, test = transform.test.rows }
}

output "exact" {
  description = "The share of unseen questions that each model answers with exactly the right query, with its 95% interval."
  value       = { for name, subject in evaluate.exact.subjects : name => subject.exact }
}

output "improvement" {
  description = "The paired difference that the gate checks."
  value       = evaluate.exact.differences["tuned - base"].exact
}

output "perplexity" {
  description = "The perplexity of the correct queries, for each model."
  value       = { for name, subject in evaluate.perplexity.subjects : name => subject.perplexity }
}

output "training" {
  description = "What the training took."
  value = {
    loss              = train.tuned.train_loss
    steps             = train.tuned.steps
    tokens_per_second = train.tuned.tokens_per_second
  }
}
