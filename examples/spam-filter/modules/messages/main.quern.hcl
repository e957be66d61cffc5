# Cleans the messages of one channel, and splits them for training, choosing, and testing.

variable "messages" {
  description = "The messages and their labels: \"spam\" or \"ham\"."
  type        = dataset({ text = string, label = string })
}

variable "channel" {
  description = "Where the messages come from. It becomes the column `channel`."
  type        = string
}

variable "shares" {
  description = "The shares of messages to learn from, to choose a filter with, and to test it with."
  type        = object({ train = number, validation = number, test = number })
  default     = { train = 0.6, validation = 0.2, test = 0.2 }
}

variable "least_messages" {
  description = "The number of messages below which something must be wrong with the channel."
  type        = number
  default     = 1
}

# Numbers are masked: they are personal, and a filter that remembers them learns
# nothing about new messages.
transform "sql" "clean" {
  inputs = { messages = var.messages }
  query  = <<-SQL
    select distinct
      '${var.channel}' as channel,
      trim(regexp_replace(regexp_replace(text, '[0-9]{4,}', '#', 'g'), '\s+', ' ', 'g')) as text,
      label
    from messages
  SQL

  contract {
    columns  = { channel = string, text = string, label = string }
    exact    = true
    not_null = ["text", "label"]
    unique   = ["text"]
    rows     = { min = var.least_messages }

    column "label" {
      allowed = ["ham", "spam"]
    }
    rule "masked" {
      condition     = length(regexall("[0-9]{4,}", row.text)) == 0
      error_message = "A number is not masked."
    }
    rule "short" {
      condition     = length(row.text) <= 500
      max_share     = 0.005
      severity      = "warn"
      error_message = "Long messages are rarely text messages."
    }
  }
}

transform "split" "parts" {
  input  = transform.clean
  by     = row.text # a message always stays in the same part
  shares = var.shares
}

output "train" {
  description = "The messages to learn from."
  type        = dataset({ text = string, label = string })
  value       = transform.parts.train
}

output "validation" {
  description = "The messages to choose a filter with."
  type        = dataset({ channel = string, text = string, label = string })
  value       = transform.parts.validation
}

output "test" {
  description = "The messages to test the chosen filter with."
  type        = dataset({ channel = string, text = string, label = string })
  value       = transform.parts.test
}
