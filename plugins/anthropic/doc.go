package main

const doc = `A Claude model.

The key comes from ` + "`api_key`, `api_key_command`" + ` or the variable ` + "`ANTHROPIC_API_KEY`" + `. The newest models refuse a ` + "`temperature` or `top_p`" + `; seeds and log probabilities are not available.

` + "```hcl" + `
model "anthropic" "judge" {
  name       = "claude-haiku-4-5"
  max_tokens = 512
}
` + "```" + `
`
