package client_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

type embedderArgs struct {
	Input plugin.Dataset `quern:"input,required"`
	Text  plugin.Column  `quern:"text,required" type:"string"`
	Model plugin.Model   `quern:"model,required"`
}

// embedder is a labeler that requests embeddings from a model.
type embedder struct{}

func (embedder) Prepare(_ context.Context, p *plugin.Prepare[embedderArgs]) error {
	p.AddColumn("length", "float64")
	return nil
}

func (embedder) Map(ctx context.Context, a *embedderArgs, b *plugin.Batch) error {
	for i := range b.N {
		text, _ := b.String(a.Text, i)
		vectors, err := b.Host().Embed(ctx, a.Model, []string{text})
		if err != nil {
			return err
		}
		b.SetFloat("length", i, float64(vectors[0][0]))
	}
	return nil
}

// lengths is a HostService whose embeddings are the lengths of texts.
type lengths struct {
	pluginv1.UnimplementedHostServiceServer
}

func (lengths) Embed(_ context.Context, req *pluginv1.HostServiceEmbedRequest) (*pluginv1.HostServiceEmbedResponse, error) {
	out := &pluginv1.HostServiceEmbedResponse{}
	for _, text := range req.Texts {
		out.Embeddings = append(out.Embeddings, &pluginv1.Embedding{Values: []float32{float32(len(text))}})
	}
	return out, nil
}

func TestAPluginReachesTheHostOnItsSocketOrThroughTheBroker(t *testing.T) {
	address, done, err := plugintest.Serve(t.Context(), plugin.Plugin{Name: "embedding", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "embedding_length"}, embedder{}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := client.Attach(client.Command{Name: "embedding"}, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { p.Close(); <-done }()
	in := instance("label", "embedding_length", map[string]cty.Value{
		"input": cty.StringVal("input"), "text": cty.StringVal("text"), "model": cty.StringVal("model"),
	})
	in.Inputs = map[string]*pluginv1.Input{
		"input": {Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET},
		"model": {Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL},
	}
	in.RowArguments = map[string]*pluginv1.RowArgument{"text": {Type: "string", RowsOf: "input"}}
	host, stop, err := p.Host(lengths{})
	if err != nil {
		t.Fatal(err)
	}
	for _, start := range []*pluginv1.MapRequest{
		{Host: host.Broker}, // from a quern without sockets, within the broker's five seconds
		{HostSocket: host.Socket},
	} {
		start.Event = &pluginv1.MapRequest_Start{Start: in}
		stream, err := p.MapHosted(t.Context(), start, data.Schema{{Name: "length", Type: "float64"}})
		if err != nil {
			t.Fatal(err)
		}
		batch := rows("text", 3)
		if err := errors.Join(stream.Send(batch), stream.CloseSend()); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil {
			t.Fatalf("host %d, socket %q: %v", start.Host, start.HostSocket, err)
		}
		texts, got := batch.Column(0).(*array.String), answer.Rows.Column(0).(*array.Float64)
		for i := range texts.Len() {
			if got.Value(i) != float64(len(texts.Value(i))) {
				t.Errorf("socket %q: row %d has length %g, want that of %q", start.HostSocket, i, got.Value(i), texts.Value(i))
			}
		}
		answer.Rows.Release()
	}
	stop()
	if _, err := os.Stat(host.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket remains: %v", err)
	}
}
