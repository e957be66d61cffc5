variable "endpoint" {
  description = "Where the teacher answers: any endpoint that speaks OpenAI's API, up to and without /chat/completions. A key comes from OPENAI_API_KEY."
  type        = string
  default     = "http://127.0.0.1:8137/v1" # make llm
}

variable "model" {
  description = "The teacher's name at the endpoint."
  type        = string
  default     = "smollm2-135m-instruct"
}

variable "most_lost" {
  description = "By how much a student's accuracy may at most be below its teacher's, as a share, surely (95 %)."
  type        = number
  default     = 0.15

  validation {
    condition     = var.most_lost >= 0 && var.most_lost <= 1
    error_message = "What may be lost is a share, from 0 to 1."
  }
}
