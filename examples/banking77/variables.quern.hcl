variable "least_accuracy" {
  description = "The share of unseen messages that a student must surely (95 %) get right to be served."
  type        = number
  default     = 0.85

  validation {
    condition     = var.least_accuracy >= 0 && var.least_accuracy <= 1
    error_message = "The least accuracy is a share, from 0 to 1."
  }
}

variable "text_length" {
  description = "How short and how long a message may be to be learnt from, in characters."
  type        = object({ min = number, max = number })
  default     = { min = 10, max = 2000 }
}
