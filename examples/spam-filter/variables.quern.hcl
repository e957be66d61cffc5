variable "candidates" {
  description = "The filters to train, with the maximum lengths of their word and character n-grams. The best one is deployed."
  type        = map(object({ words = number, characters = number }))
  default = {
    words      = { words = 2, characters = 0 }
    characters = { words = 0, characters = 5 }
    both       = { words = 2, characters = 5 }
  }
}

variable "least_found" {
  description = "The share of spam that the filter must find, with 95% confidence."
  type        = number
  default     = 0.8
}

variable "least_kept" {
  description = "The share of other messages that the filter must keep, with 95% confidence."
  type        = number
  default     = 0.95
}

variable "serve_path" {
  description = "The folder that the filter is served from."
  type        = string
  default     = "serve/dev"
}

variable "least_messages" {
  description = "The number of messages of a channel below which something must be wrong."
  type        = number
  default     = 500
}
