// Command quern-plugin-rogue is a plugin that violates the protocol in ways
// that the SDK would prevent. The stage type says in which way. If the program
// is named quern-plugin-mad, its schema is invalid, too, and if it is named
// quern-plugin-deaf, it never answers.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// The ways in which it violates the protocol, by stage type.
const (
	none    = "_none"    // answers without an instance
	twice   = "_twice"   // declares a column twice
	over    = "_over"    // declares a column that replaces one of the input's
	types   = "_types"   // declares a column of an unknown type
	columns = "_columns" // sends a column that it did not declare
	rows    = "_rows"    // sends one row too few
	garbage = "_garbage" // sends bytes that are not a batch
	counts  = "_counts"  // counts more rows than it sends
)

type rogue struct {
	pluginv1.UnimplementedPluginServiceServer
	name string
}

func (r rogue) GetSchema(ctx context.Context, _ *pluginv1.GetSchemaRequest) (*pluginv1.GetSchemaResponse, error) {
	if r.name == "deaf" {
		<-ctx.Done()
		select {}
	}
	s := &pluginv1.GetSchemaResponse{Version: "1.0.0"}
	for _, way := range []string{none, twice, over, types, columns, rows, garbage, counts} {
		s.Types = append(s.Types, &pluginv1.Type{
			Kind: "label", Name: r.name + way, Mode: pluginv1.Mode_MODE_MAP, BehaviorVersion: 1,
			Body: &pluginv1.Body{Arguments: []*pluginv1.Argument{
				{Name: "input", Required: true, Accepts: []pluginv1.ArtifactKind{pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET}},
				{Name: "text", Required: true, PerRow: true, Type: []byte(`"string"`)},
			}},
		})
	}
	last := s.Types[len(s.Types)-1]
	last.Kind, last.Mode = "transform", pluginv1.Mode_MODE_FLAT_MAP
	if r.name == "mad" {
		s.Types[0].Body.Arguments[1].Type = []byte(`"strnig"`)
	}
	return s, nil
}

func (r rogue) Configure(context.Context, *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	return &pluginv1.ConfigureResponse{}, nil
}

func (r rogue) Prepare(_ context.Context, req *pluginv1.PrepareRequest) (*pluginv1.PrepareResponse, error) {
	resp := &pluginv1.PrepareResponse{}
	for _, in := range req.Instances {
		made := []*pluginv1.Column{{Name: "made", Type: "string"}}
		switch in.Type {
		case r.name + none:
			continue
		case r.name + twice:
			made = append(made, made[0])
		case r.name + over:
			made[0].Name = "text"
			made = append(made, &pluginv1.Column{Name: "kept", Type: "string", Origin: pluginv1.ColumnOrigin_COLUMN_ORIGIN_INPUT, From: "text"})
		case r.name + types:
			made[0].Type = "strnig"
		}
		resp.Prepared = append(resp.Prepared, &pluginv1.Prepared{Outputs: []*pluginv1.Output{{
			Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, Columns: made, RowsOf: "input",
		}}})
	}
	return resp, nil
}

func (r rogue) Map(stream grpc.BidiStreamingServer[pluginv1.MapRequest, pluginv1.MapResponse]) error {
	way := ""
	for {
		req, err := stream.Recv()
		if err != nil {
			return nil
		}
		if start := req.GetStart(); start != nil {
			way = start.Type[len(r.name):]
			continue
		}
		given, err := data.DecodeBatch(req.GetRows())
		if err != nil {
			return err
		}
		answer, err := wrong(way, int(given.NumRows()))
		if err != nil {
			return err
		}
		resp := &pluginv1.MapResponse{Rows: answer}
		if way == counts {
			resp.Counts = slices.Repeat([]int64{2}, int(given.NumRows()))
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

// wrong returns an invalid answer to n rows.
func wrong(way string, n int) ([]byte, error) {
	schema := data.Schema{{Name: "made", Type: "string"}}
	switch way {
	case garbage:
		return []byte("these are no rows"), nil
	case columns:
		schema[0].Name = "other"
	case rows:
		n--
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	for range n {
		b.Field(0).(*array.StringBuilder).Append("x")
	}
	return data.EncodeBatch(b.NewRecordBatch())
}

// served makes it a go-plugin plugin.
type served struct {
	goplugin.NetRPCUnsupportedPlugin
	rogue
}

func (s served) GRPCServer(_ *goplugin.GRPCBroker, g *grpc.Server) error {
	pluginv1.RegisterPluginServiceServer(g, s.rogue)
	return nil
}

func (served) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

func main() {
	fmt.Fprintln(os.Stderr, "I answer as I like")
	name := filepath.Base(os.Args[0])[len("quern-plugin-"):]
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: wire.Handshake,
		Plugins:         goplugin.PluginSet{wire.Service: served{rogue: rogue{name: name}}},
		Logger:          hclog.NewNullLogger(),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, wire.ServerOptions()...)...)
		},
	})
}
