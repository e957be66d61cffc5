# What each step left out, and why.

output "rejected" {
  value = transform.quality.counts.quality_reasons
}

output "duplicates" {
  value = transform.unique.duplicates
}

output "redacted" {
  value = transform.private.counts.private_kinds
}

output "in_the_evaluation" {
  value = transform.seen.counts.seen
}

output "sequences" {
  value = {
    count  = transform.training.rows
    tokens = transform.training.tokens
    filled = transform.training.filled
  }
}
