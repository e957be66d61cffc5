quern {
  required_version = ">= 0.4"
  required_plugins {
    acme  = { source = "example.com/acme/acme", version = "~> 1.2" }
    other = { command = ["python3", "other.py"] }
  }
}

variable "texts" {
  type        = dataset({ text = string, label = optional(string), scores = list(float64) })
  description = "The rows to clean."
}

variable "judge" {
  type        = model("chat")
  default     = null
  description = <<-EOT
    Judges the rows that rules
    do not | decide.
  EOT
}

variable "options" {
  type    = object({ pattern = string, length = optional(number, 5), more = optional(list(tuple([string, map(any)]))) })
  default = { pattern = "a|b" }
}

variable "key" {
  sensitive = true
  default   = "hunter2"
}

module "inner" {
  source  = "git::https://example.com/inner.git//text"
  version = "~> 2.0"
}

transform "sql" "clean" {
  inputs = { texts = var.texts }
  query  = "SELECT * FROM texts"
}

source "csv" "lists" {
  for_each = toset(["a", "b"])
  path     = "${each.key}.csv"
}

output "rows" {
  type        = dataset({ text = string })
  value       = transform.clean
  description = "The rows that are left."
}

output "length" {
  value     = 1
  sensitive = true
}
