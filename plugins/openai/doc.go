package main

const doc = `A language model behind an endpoint that speaks OpenAI's API.

OpenAI, Azure, vLLM, llama.cpp, LM Studio and many others serve it; ` + "`base_url`" + ` says where. The key comes from ` + "`api_key`, `api_key_command`" + ` or the variable ` + "`OPENAI_API_KEY`" + `, and is sent to ` + "`base_url`" + `; an endpoint of one's own may need none.

` + "```hcl" + `
model "openai" "judge" {
  name        = "gpt-4.1-mini"
  temperature = 0
}

model "openai" "local" {
  name            = "qwen3-8b"
  base_url        = "http://127.0.0.1:8000/v1"
  max_concurrency = 64

  price {
    input  = 0
    output = 0
  }
}
` + "```" + `
`
