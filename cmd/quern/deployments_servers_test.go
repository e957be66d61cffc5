package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/quern-dev/quern/plugins/ollama/ollamatest"
	"github.com/quern-dev/quern/plugins/vllm/vllmtest"
)

// filesModel returns a model whose files the plugin of the tests makes.
func filesModel(format, files string) string {
	return fmt.Sprintf(`
quern {
  required_plugins {
    test = {}
  }
}

train "test_files" "m" {
  format = %q
  files  = { %s }
}
`, format, files)
}

// isChange reports whether a request changes what a server of models has.
func isChange(r *http.Request) bool {
	asks := []string{"/api/show", "/api/generate", "/v1/completions", "/v1/chat/completions"}
	return r.Method != http.MethodGet && r.Method != http.MethodHead && !slices.Contains(asks, r.URL.Path)
}

func TestCrashOfDeploymentsToOllama(t *testing.T) { killDeployments(t, ollamaPlace(t)) }

// ollamaPlace returns a stand-in for Ollama.
func ollamaPlace(t *testing.T) *place {
	s := ollamatest.New()
	s.Delay = 10 * time.Millisecond
	header := base64.StdEncoding.EncodeToString([]byte("GGUF\x03\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	p := &place{
		train: filesModel("gguf", fmt.Sprintf(`"m.gguf" = "%s${base64encode("weights ${var.epochs}")}"`, header)),
		env:   []string{"QUERN_PLUGIN_PATH=" + binaries},
		serving: func(name string) (string, error) {
			answer, _ := s.Ask(name, "Hello.") // an error means that the model does not exist
			return answer, nil
		},
	}
	p.serve(t, s, isChange)
	p.deploy = fmt.Sprintf(`
deploy "ollama" "live" {
  artifact = train.m
  name     = var.name
  base_url = %q
}
`, p.url)
	return p
}

func TestCrashOfDeploymentsToReplicasOfVLLM(t *testing.T) { killDeployments(t, vllmPlace(t)) }

// vllmPlace returns two stand-ins for replicas of vLLM. It counts the requests to the
// first one.
func vllmPlace(t *testing.T) *place {
	first, second := vllmtest.New(), vllmtest.Start(t)
	first.Delay, second.Delay = 10*time.Millisecond, 10*time.Millisecond
	known := []string{"", vllmtest.Weights("weights 1"), vllmtest.Weights("weights 2")}
	p := &place{
		train: filesModel("hf-adapter", `
    "adapter/adapter_config.json"       = base64encode(jsonencode({ peft_type = "LORA" }))
    "adapter/adapter_model.safetensors" = base64encode("weights ${var.epochs}")
  `),
		env: []string{"QUERN_PLUGIN_PATH=" + binaries},
		serving: func(name string) (string, error) {
			if answer := second.Serving(name); !slices.Contains(known, answer) {
				return "", fmt.Errorf("the second replica serves %q", answer)
			}
			return first.Serving(name), nil
		},
	}
	p.serve(t, first, isChange)
	p.deploy = fmt.Sprintf(`
deploy "vllm" "live" {
  artifact  = train.m
  endpoints = [%q, %q]
  name      = var.name
  path      = "adapters"
  alias     = true
  keep      = 1
  drain     = "0s"
}
`, p.url, second.URL)
	return p
}
