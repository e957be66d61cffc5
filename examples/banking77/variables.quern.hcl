variable "least_accuracy" {
  description = "The accuracy on unseen messages that a student must reach, with 95% confidence, to be deployed."
  type        = number
  default     = 0.85

  validation {
    condition     = var.least_accuracy >= 0 && var.least_accuracy <= 1
    error_message = "least_accuracy must be from 0 to 1."
  }
}

variable "text_length" {
  description = "The minimum and maximum length of messages to learn from, in characters."
  type        = object({ min = number, max = number })
  default     = { min = 10, max = 2000 }
}
