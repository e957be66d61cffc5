package exec

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// roleVariable is the environment variable that makes the test binary act as
// the command of a model.
const roleVariable = "QUERN_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		play(role)
		return
	}
	os.Exit(m.Run())
}

// play is the command. Its answer depends on the last message.
func play(role string) {
	in := bufio.NewScanner(os.Stdin)
	var held []string
	for in.Scan() {
		var q struct {
			ID      int64       `json:"id"`
			Request llm.Request `json:"request"`
			Texts   []string    `json:"texts"`
		}
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if q.Texts != nil {
			fmt.Printf(`{"id":%d,"embeddings":[[1,2]]}`+"\n", q.ID)
			continue
		}
		text := q.Request.Messages[0].Content
		switch {
		case role == "pairs":
			// Two requests are answered together, the later one first.
			held = append([]string{fmt.Sprintf(`{"id":%d,"text":%q}`, q.ID, text)}, held...)
			if len(held) == 2 {
				fmt.Println(strings.Join(held, "\n"))
				held = nil
			}
		case text == "die":
			fmt.Fprintln(os.Stderr, "out of memory")
			os.Exit(3)
		case text == "hang":
		case text == "noise":
			fmt.Println("Loading the model…")
		case text == "fail":
			fmt.Printf(`{"id":%d,"error":{"message":"too much","status":429,"temporary":true,"retry_after":2}}`+"\n", q.ID)
		case text == "full":
			fmt.Printf(`{"id":%d,"response":{"text":"all","finish_reason":"length","usage":{"input":3,"output":1}}}`+"\n", q.ID)
		case text == "mark":
			fmt.Println("\ufeff" + `{"text":"MARK"}`)
		case text == "environment":
			fmt.Printf(`{"text":%q}`+"\n", os.Getenv("OPENAI_API_KEY")+os.Getenv("MINE"))
		default:
			fmt.Printf(`{"text":%q}`+"\n", strings.ToUpper(text))
		}
	}
}

// model opens a model whose command plays a role.
func model(t *testing.T, role string) *args {
	t.Helper()
	a := &args{Command: []string{os.Args[0]}, Environment: map[string]string{roleVariable: role, "MINE": "mine"}}
	if err := (impl{func() string { return t.TempDir() }}).Open(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r := a.process.current; r != nil {
			_ = r.cmd.Process.Kill()
			<-r.ended
		}
	})
	return a
}

func ask(ctx context.Context, a *args, text string) (*llm.Response, error) {
	return impl{}.Chat(ctx, a, &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: text}}})
}

func TestACommandAnswersOverTheProtocol(t *testing.T) {
	p := plugin.Plugin{Name: "builtin", Version: "0.1.0", Types: Types(func() string { return "." })}
	c := plugintest.Case{Type: "exec", Args: map[string]any{
		"command": []any{os.Args[0]}, "environment": map[string]any{roleVariable: "plain"}, "embeddings": true,
	}}
	got, err := plugintest.Chat(t, p, c, &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: "hello"}}})
	if err != nil || got.Text != "HELLO" || got.FinishReason != llm.FinishStop {
		t.Errorf("got %+v, %v", got, err)
	}
	e, err := plugintest.Embed(t, p, c, "x")
	if err != nil || fmt.Sprint(e.Vectors) != "[[1 2]]" {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestACommandIsKeptAliveAndStartedAgainWhenItDied(t *testing.T) {
	a := model(t, "plain")
	if _, err := ask(t.Context(), a, "x"); err != nil {
		t.Fatal(err)
	}
	first := a.process.current.cmd.Process.Pid
	if _, err := ask(t.Context(), a, "y"); err != nil || a.process.current.cmd.Process.Pid != first {
		t.Fatalf("%v, or another process answered", err)
	}
	_, err := ask(t.Context(), a, "die")
	var call *llm.CallError
	if !errors.As(err, &call) || !call.Temporary || call.Unreachable() || !strings.Contains(call.Message, "exit status 3") || !strings.Contains(call.Message, "out of memory") {
		t.Errorf("got %#v", err)
	}
	got, err := ask(t.Context(), a, "z")
	if err != nil || got.Text != "Z" || a.process.current.cmd.Process.Pid == first {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRequestsAreConcurrentAndAnsweredInAnyOrder(t *testing.T) {
	a := model(t, "pairs")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			text := fmt.Sprint("text ", i)
			if got, err := ask(t.Context(), a, text); err != nil || got.Text != text {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
}

func TestACommandThatHangsIsKilled(t *testing.T) {
	a := model(t, "plain")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := ask(ctx, a, "hang")
	var call *llm.CallError
	if !errors.As(err, &call) || !call.Temporary || call.Unreachable() {
		t.Errorf("got %#v", err)
	}
	<-a.process.current.ended
	if got, err := ask(t.Context(), a, "x"); err != nil || got.Text != "X" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestErrorsQuoteWhatACommandWrites(t *testing.T) {
	a := model(t, "plain")
	t.Setenv("OPENAI_API_KEY", "sk-secret")
	b := model(t, "plain")
	if got, err := ask(t.Context(), b, "environment"); err != nil || got.Text != "mine" {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := ask(t.Context(), a, "full"); err != nil || got.FinishReason != llm.FinishLength || got.Usage.Input != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := ask(t.Context(), a, "mark"); err != nil || got.Text != "MARK" {
		t.Errorf("after a byte order mark: got %+v, %v", got, err)
	}
	_, err := ask(t.Context(), a, "fail")
	var call *llm.CallError
	if !errors.As(err, &call) || call.Status != 429 || *call.RetryAfter != 2*time.Second {
		t.Errorf("got %#v", err)
	}
	if _, err = ask(t.Context(), a, "noise"); err == nil || !strings.Contains(err.Error(), "Loading the model") {
		t.Errorf("got %v", err)
	}
	_, err = ask(t.Context(), &args{Command: []string{"/no/such/program"}, process: &process{command: []string{"/no/such/program"}}}, "x")
	if !errors.As(err, &call) || call.Temporary {
		t.Errorf("got %#v", err)
	}
}
