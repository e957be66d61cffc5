output "winner" {
  description = "The candidate with the highest macro F1 score."
  value       = local.winner
}

output "spam_found" {
  description = "The share of spam that it finds in unseen messages, with its 95% interval."
  value       = local.spam_found
}

output "others_kept" {
  description = "The share of other messages that it keeps, with its 95% interval."
  value       = local.others_kept
}

output "serving" {
  description = "The digest of the deployed filter."
  value       = deploy.filter.digest
}
