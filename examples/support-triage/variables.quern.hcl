variable "endpoint" {
  description = "The teacher's address, without /chat/completions: any endpoint that is compatible with OpenAI's API. The key comes from OPENAI_API_KEY."
  type        = string
  default     = "http://127.0.0.1:8137/v1" # make llm
}

variable "model" {
  description = "The teacher's name at the endpoint."
  type        = string
  default     = "smollm2-135m-instruct"
}

variable "most_lost" {
  description = "The most that a student's accuracy may be below its teacher's, as a share, with 95% confidence."
  type        = number
  default     = 0.15

  validation {
    condition     = var.most_lost >= 0 && var.most_lost <= 1
    error_message = "most_lost must be from 0 to 1."
  }
}
