package mock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/gocty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/internal/tokens"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/testfile"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// prepareModel keeps what plans say about a model, such as its prices, and drops what
// only a provider needs: mocks have no limits.
func (s *server) prepareModel(p *pluginv1.Prepared) {
	if p.Model == nil {
		return
	}
	p.Model.Batch = nil // its answers would come days later
	if s.mock.Record != "" && s.set.Recordings.Updates() {
		return
	}
	p.Model.MaxConcurrency, p.Model.RequestsPerMinute, p.Model.TokensPerMinute = 0, 0, 0
	p.Model.Retries, p.Model.Host = 0, ""
}

// CheckModel implements the protocol: a mock can always be called.
func (s *server) CheckModel(context.Context, *pluginv1.CheckModelRequest) (*pluginv1.CheckModelResponse, error) {
	return &pluginv1.CheckModelResponse{}, nil
}

// Chat implements the protocol.
func (s *server) Chat(stream pluginv1.PluginService_ChatServer) error {
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	start := []*pluginv1.ChatRequest{first}
	if len(first.GetStart().GetInputs()) > 0 {
		second, err := stream.Recv()
		if err != nil {
			return err
		}
		start = append(start, second)
	}
	return wire.Answer(stream, func(ctx context.Context, req *pluginv1.ChatRequest) (*pluginv1.ChatResponse, error) {
		return s.chat(ctx, start, req.GetRequest())
	})
}

func (s *server) chat(ctx context.Context, start []*pluginv1.ChatRequest, text []byte) (*pluginv1.ChatResponse, error) {
	request, err := llm.DecodeRequest(text)
	if err != nil {
		return nil, err
	}
	response, err := s.response(ctx, start, request)
	if err != nil {
		return &pluginv1.ChatResponse{Error: callError(err)}, nil
	}
	s.set.called(s.at.String(), Call{Request: requestValue(request), Answer: cty.StringVal(response.Text), ToolCalls: toolCallsValue(response.ToolCalls)})
	encoded, err := json.Marshal(response)
	return &pluginv1.ChatResponse{Response: encoded}, err
}

func callError(err error) *pluginv1.CallError {
	var call *llm.CallError
	if errors.As(err, &call) {
		return wire.CallErrorToProto(call)
	}
	return &pluginv1.CallError{Message: err.Error()}
}

// response answers a request: from the recording, or by the rules.
func (s *server) response(ctx context.Context, start []*pluginv1.ChatRequest, request *llm.Request) (*llm.Response, error) {
	if s.mock.Record != "" {
		return s.recorded(ctx, start, request)
	}
	response, err := s.answer(request)
	if err != nil {
		return nil, s.failed(RequestText(request), err)
	}
	response.Model, response.FinishReason = "mock", llm.FinishStop
	counter := tokens.For("")
	response.Usage = llm.Usage{Input: counter.Request(request), Output: counter.Text(response.Text), Estimated: true}
	for _, c := range response.ToolCalls {
		response.FinishReason = llm.FinishToolCalls
		response.Usage.Output += counter.Text(c.Name) + counter.Text(c.Arguments)
	}
	return response, nil
}

// answer is the answer of the first rule that applies.
func (s *server) answer(request *llm.Request) (*llm.Response, error) {
	ctx := s.set.scope.NewChild()
	ctx.Variables = map[string]cty.Value{"request": requestValue(request)}
	for _, r := range s.mock.Rules {
		applies, err := s.evaluate(r.When, ctx, cty.Bool)
		switch {
		case err != nil:
			return nil, err
		case applies.IsNull() || applies.False():
			continue
		case r.Error != nil:
			message, err := s.text(r.Error, ctx)
			if err == nil {
				err = &llm.CallError{Message: message}
			}
			return nil, err
		}
		return s.reply(&r.Reply, ctx)
	}
	if s.mock.IsSet() {
		return s.reply(&s.mock.Reply, ctx)
	}
	return nil, s.noAnswer(RequestText(request), s.why())
}

// reply evaluates a reply.
func (s *server) reply(r *testfile.Reply, ctx *hcl.EvalContext) (*llm.Response, error) {
	response := &llm.Response{}
	var err error
	if r.Answer != nil {
		if response.Text, err = s.text(r.Answer, ctx); err != nil {
			return nil, err
		}
	}
	if r.ToolCalls != nil {
		response.ToolCalls, err = s.toolCalls(r.ToolCalls, ctx)
	}
	return response, err
}

// toolCalls evaluates a list of objects with name, arguments, and id, which is optional.
// Arguments that are a text are passed on as they are, so that they can be malformed.
func (s *server) toolCalls(e hcl.Expression, ctx *hcl.EvalContext) ([]llm.ToolCall, error) {
	v, err := s.evaluate(e, ctx, cty.DynamicPseudoType)
	if err != nil {
		return nil, err
	}
	invalid := fmt.Errorf("tool_calls of the mock must be a list of objects with a name and arguments, such as [{ name = \"search\", arguments = { query = \"card\" } }] (%s:%d)", e.Range().Filename, e.Range().Start.Line)
	if v.IsNull() || !v.CanIterateElements() || v.Type().IsObjectType() || v.Type().IsMapType() {
		return nil, invalid
	}
	var calls []llm.ToolCall
	for i, element := range v.AsValueSlice() {
		c := llm.ToolCall{ID: fmt.Sprintf("call_%d", i)}
		if element.IsNull() || !element.Type().IsObjectType() && !element.Type().IsMapType() {
			return nil, invalid
		}
		for name, given := range element.AsValueMap() {
			text, err := asText(given)
			switch {
			case err != nil:
				return nil, err
			case name == "name":
				c.Name = text
			case name == "arguments":
				c.Arguments = text
			case name == "id":
				c.ID = text
			default:
				return nil, invalid
			}
		}
		if c.Name == "" || c.Arguments == "" {
			return nil, invalid
		}
		calls = append(calls, c)
	}
	return calls, nil
}

// toolCallsValue is the calls of tools as expressions see them.
func toolCallsValue(calls []llm.ToolCall) cty.Value {
	if len(calls) == 0 {
		return cty.ListValEmpty(ToolCallType)
	}
	all := make([]cty.Value, len(calls))
	for i, c := range calls {
		all[i] = cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(c.Name), "arguments": cty.StringVal(c.Arguments)})
	}
	return cty.ListVal(all)
}

// ToolCallType is the type of a call of a tool. Its arguments are JSON.
var ToolCallType = cty.Object(map[string]cty.Type{"name": cty.String, "arguments": cty.String})

// why explains why a request has no answer.
func (s *server) why() string {
	if len(s.mock.Rules) > 0 {
		return fmt.Sprintf("No rule of the mock (%s:%d) applies to it, and the mock has no answer for all other requests.", s.mock.Range.Filename, s.mock.Range.Start.Line)
	}
	return fmt.Sprintf("Nothing mocks it. Add to the test: mock %q { answer = \"…\" }, or record = \"answers.jsonl\" to record answers of the real model with quern test -update.", s.at)
}

// failed reports a request that the mock cannot answer because of a mistake in the test,
// which fails the run even if the stage tolerates failures. An error that a rule gives is
// an answer.
func (s *server) failed(request string, err error) error {
	if call := (*llm.CallError)(nil); errors.As(err, &call) {
		return err
	}
	return s.noAnswer(request, diag.Sentence(err))
}

func (s *server) noAnswer(request, reason string) error {
	s.set.unanswered(Unmocked{Address: s.at.String(), Request: request, Reason: reason})
	return &llm.CallError{Message: fmt.Sprintf("the call to %s is not mocked", s.at)}
}

// text evaluates an answer. Anything but text is JSON.
func (s *server) text(e hcl.Expression, ctx *hcl.EvalContext) (string, error) {
	v, err := s.evaluate(e, ctx, cty.DynamicPseudoType)
	switch {
	case err != nil:
		return "", err
	case v.IsNull():
		return "", fmt.Errorf("the mock returned null (%s:%d)", e.Range().Filename, e.Range().Start.Line)
	}
	return asText(v)
}

// asText returns a text as it is, and anything else as JSON.
func asText(v cty.Value) (string, error) {
	if v.Type() == cty.String && !v.IsNull() {
		return v.AsString(), nil
	}
	encoded, err := ctyjson.Marshal(v, v.Type())
	return string(encoded), err
}

func (s *server) evaluate(e hcl.Expression, ctx *hcl.EvalContext, want cty.Type) (cty.Value, error) {
	v, diags := eval.Value(e, ctx)
	var err error
	if !diags.HasErrors() {
		v, _ = v.UnmarkDeep()
		v, err = convert.Convert(v, want)
	} else {
		diags = funcs.Explain(diags)
		err = errors.New(diags[0].Summary + ": " + diags[0].Detail)
	}
	if err != nil {
		return cty.NilVal, fmt.Errorf("the mock failed (%s:%d): %w", e.Range().Filename, e.Range().Start.Line, err)
	}
	return v, nil
}

// requestValue is a request as expressions see it.
func requestValue(r *llm.Request) cty.Value {
	messages := make([]cty.Value, 0, len(r.Messages))
	last := map[string]string{}
	for _, m := range r.Messages {
		last[m.Role] = m.Content
		messages = append(messages, cty.ObjectVal(map[string]cty.Value{"role": cty.StringVal(m.Role), "content": cty.StringVal(m.Content)}))
	}
	list := cty.ListValEmpty(cty.Object(map[string]cty.Type{"role": cty.String, "content": cty.String}))
	if len(messages) > 0 {
		list = cty.ListVal(messages)
	}
	tools := make([]cty.Value, 0, len(r.Tools))
	for _, t := range r.Tools {
		tools = append(tools, cty.StringVal(t.Name))
	}
	names := cty.ListValEmpty(cty.String)
	if len(tools) > 0 {
		names = cty.ListVal(tools)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"tools":    names,
		"text":     cty.StringVal(RequestText(r)),
		"system":   cty.StringVal(last[llm.System]),
		"user":     cty.StringVal(last[llm.User]),
		"prompt":   cty.StringVal(r.Prompt),
		"messages": list,
	})
}

// RequestText is a request as text: the contents of its messages, each after its role.
func RequestText(r *llm.Request) string {
	if len(r.Messages) == 0 {
		return r.Prompt
	}
	parts := make([]string, len(r.Messages))
	for i, m := range r.Messages {
		parts[i] = m.Role + ": " + m.Content
	}
	return strings.Join(parts, "\n")
}

// Embed implements the protocol.
func (s *server) Embed(ctx context.Context, req *pluginv1.EmbedRequest) (*pluginv1.EmbedResponse, error) {
	out := &pluginv1.EmbedResponse{}
	var err error
	if s.mock.Record != "" {
		out.Embeddings, err = s.recordedEmbeddings(ctx, req)
	} else {
		for _, text := range req.Texts {
			var e *pluginv1.Embedding
			if e, err = s.embedding(text); err != nil {
				break
			}
			out.Embeddings = append(out.Embeddings, e)
		}
	}
	if err != nil {
		return &pluginv1.EmbedResponse{Error: callError(err)}, nil
	}
	counter := tokens.For("")
	for _, text := range req.Texts {
		out.InputTokens += counter.Text(text)
	}
	return out, nil
}

func (s *server) embedding(text string) (*pluginv1.Embedding, error) {
	if s.mock.Embedding == nil {
		return nil, s.noAnswer(text, fmt.Sprintf("Nothing mocks the embedding of this text. Add to the test: mock %q { embedding = [1, 0] }, an expression over text.", s.at))
	}
	ctx := s.set.scope.NewChild()
	ctx.Variables = map[string]cty.Value{"text": cty.StringVal(text)}
	v, err := s.evaluate(s.mock.Embedding, ctx, cty.List(cty.Number))
	if err != nil {
		return nil, err
	}
	e := &pluginv1.Embedding{}
	return e, gocty.FromCtyValue(v, &e.Values)
}

// recorded answers a request from the recording, or asks the real model and records the
// answer.
func (s *server) recorded(ctx context.Context, start []*pluginv1.ChatRequest, request *llm.Request) (*llm.Response, error) {
	path := s.set.recordingPath(s.mock)
	text, err := request.Encode()
	if err != nil {
		return nil, err
	}
	answer, err := s.set.Recordings.file(path).answer(string(text), s.set.turn(path, string(text)), func() (*recording, error) {
		response, err := s.askModel(ctx, start, text)
		if err != nil {
			return nil, err
		}
		return &recording{Request: text, Response: response}, s.set.Recordings.safe(text, response)
	})
	if errors.Is(err, errNotRecorded) {
		return nil, s.noAnswer(RequestText(request), s.notRecorded())
	}
	if err != nil && !s.set.Recordings.Updates() {
		return nil, s.failed(RequestText(request), err)
	}
	if err != nil {
		return nil, err
	}
	response := &llm.Response{}
	return response, json.Unmarshal(answer.Response, response)
}

func (s *server) notRecorded() string {
	return fmt.Sprintf("%s has no recorded answer to it. Run quern test -update to ask the real model and record its answer.", s.mock.Record)
}

// askModel asks the real model.
func (s *server) askModel(ctx context.Context, start []*pluginv1.ChatRequest, request []byte) ([]byte, error) {
	service, err := s.service(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := service.Chat(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range append(slices.Clone(start), &pluginv1.ChatRequest{Event: &pluginv1.ChatRequest_Request{Request: request}}) {
		if err := stream.Send(m); err != nil {
			return nil, err
		}
	}
	resp, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	if resp.Error != nil {
		return nil, wire.CallErrorFromProto(resp.Error)
	}
	return resp.Response, nil
}

func (s *server) recordedEmbeddings(ctx context.Context, req *pluginv1.EmbedRequest) ([]*pluginv1.Embedding, error) {
	path := s.set.recordingPath(s.mock)
	file := s.set.Recordings.file(path)
	out := make([]*pluginv1.Embedding, len(req.Texts))
	for i, text := range req.Texts {
		r, err := file.answer("embedding of "+text, 0, func() (*recording, error) {
			values, err := s.askEmbedding(ctx, req, text)
			return &recording{Text: &text, Embedding: values}, errors.Join(err, s.set.Recordings.safe([]byte(text)))
		})
		if errors.Is(err, errNotRecorded) {
			return nil, s.noAnswer(text, s.notRecorded())
		}
		if err != nil {
			return nil, err
		}
		out[i] = &pluginv1.Embedding{Values: r.Embedding}
	}
	return out, nil
}

func (s *server) askEmbedding(ctx context.Context, req *pluginv1.EmbedRequest, text string) ([]float32, error) {
	service, err := s.service(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := service.Embed(ctx, &pluginv1.EmbedRequest{Model: req.Model, Trained: req.Trained, Texts: []string{text}})
	switch {
	case err != nil:
		return nil, err
	case resp.Error != nil:
		return nil, wire.CallErrorFromProto(resp.Error)
	case len(resp.Embeddings) != 1:
		return nil, fmt.Errorf("%s returned %d embeddings of one text", s.at, len(resp.Embeddings))
	}
	return resp.Embeddings[0].Values, nil
}
