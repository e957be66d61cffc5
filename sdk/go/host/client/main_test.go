package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// The test binary is also the plugin. If this variable is set, it serves, and
// the value says how it behaves.
const roleVariable = "QUERN_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		play(role)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// smallMessages is the maximum number of bytes of rows in a message, in the
// role with that name.
const smallMessages = 2000

func play(role string) {
	switch role {
	case "good":
		plugin.Serve(good())
	case "small-messages":
		wire.MaxRows = smallMessages
		plugin.Serve(good())
	case "prints-first":
		fmt.Fprintln(os.Stderr, "dictionary found")
		fmt.Println("Loading the dictionary ...")
		plugin.Serve(good())
	case "exits":
		fmt.Fprintln(os.Stderr, "no license found")
		os.Exit(3)
	case "hangs":
		fmt.Fprintln(os.Stderr, "waiting for the moon")
		time.Sleep(time.Hour) // select {} would be reported as a deadlock
	case "next-version":
		serveRaw(2, &wrongSchema{})
	case "wrong-schema":
		fmt.Fprintln(os.Stderr, "schema by hand")
		serveRaw(wire.ProtocolVersion, &wrongSchema{})
	case "wrong-answers":
		serveRaw(wire.ProtocolVersion, &wrongAnswers{})
	case "faulty":
		plugin.Serve(plugin.Plugin{Name: "faulty", Version: "1.0.0", Types: []plugin.Type{
			plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "faulty"}, faultyMapper{}),
		}})
	case "parent":
		parent()
	}
}

// parent starts a plugin that starts a process, prints the process IDs, and
// waits to be killed.
func parent() {
	p, err := client.Start(context.Background(), command("good"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	pid, err := p.Service().Fingerprint(context.Background(), &pluginv1.FingerprintRequest{Instance: instance("source", "pid", nil)})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(pid.Fingerprint)
	time.Sleep(time.Hour)
}

// command returns the command that starts this test binary in a role.
func command(role string) client.Command {
	return client.Command{Name: "acme", Path: os.Args[0], Env: []string{roleVariable + "=" + role}}
}

// good returns a plugin that works, unless its arguments say otherwise.
func good() plugin.Plugin {
	return plugin.Plugin{Name: "good", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "upper", BehaviorVersion: 1}, mapper{}),
		plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "pid", BehaviorVersion: 1}, pidSource{}),
	}}
}

type mapperArgs struct {
	Input plugin.Dataset `quern:"input,required"`
	Text  plugin.Column  `quern:"text,required" type:"string"`
	Do    string         `quern:"do"`
}

type mapper struct{}

func (mapper) Prepare(_ context.Context, p *plugin.Prepare[mapperArgs]) error {
	p.KeepInput("input")
	p.AddColumn("label", "string")
	return nil
}

func (mapper) Map(ctx context.Context, a *mapperArgs, b *plugin.Batch) error {
	switch a.Do {
	case "print":
		fmt.Println("a line on stdout")
		fmt.Fprintln(os.Stderr, "a line on stderr")
	case "panic":
		panic("the mapper is broken")
	case "exit":
		fmt.Fprintln(os.Stderr, "out of paper")
		os.Exit(7)
	case "fail":
		return plugin.ArgumentErrorf("text", "this text is too hard\nTry another.")
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	}
	text := b.Strings(a.Text)
	for i := range b.N {
		if s, ok := text.At(i); ok {
			b.SetString("label", i, s+"!")
		}
	}
	return nil
}

// pidSource returns the plugin's process ID and that of a child that it starts.
type pidSource struct{}

func (pidSource) Prepare(_ context.Context, p *plugin.Prepare[struct{}]) error {
	p.AddDataset("", data.Schema{{Name: "environment", Type: "string"}})
	return nil
}

func (pidSource) Fingerprint(context.Context, *struct{}, []byte) (plugin.Fingerprint, error) {
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		return plugin.Fingerprint{}, err
	}
	return plugin.Fingerprint{Value: strconv.Itoa(os.Getpid()) + " " + strconv.Itoa(child.Process.Pid)}, nil
}

func (pidSource) Read(_ context.Context, _ *struct{}, w *plugin.RowWriter) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, w.Schema().Arrow())
	defer b.Release()
	for _, e := range os.Environ() {
		b.Field(0).(*array.StringBuilder).Append(e)
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	return w.Write(rec)
}

type faultyMapper struct{}

func (faultyMapper) Prepare(context.Context, *plugin.Prepare[faultyArgs]) error { return nil }
func (faultyMapper) Map(context.Context, *faultyArgs, *plugin.Batch) error      { return nil }

type faultyArgs struct {
	A string `quern:"a,mandatory"`
}

// serveRaw serves without the SDK, like a plugin in another language.
func serveRaw(version uint, service pluginv1.PluginServiceServer) {
	handshake := wire.Handshake
	handshake.ProtocolVersion = version
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         goplugin.PluginSet{wire.Service: &raw{service: service}},
		GRPCServer:      goplugin.DefaultGRPCServer,
		Logger:          hclog.NewNullLogger(),
	})
}

type raw struct {
	goplugin.NetRPCUnsupportedPlugin
	service pluginv1.PluginServiceServer
}

func (r *raw) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	pluginv1.RegisterPluginServiceServer(s, r.service)
	return nil
}

func (r *raw) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("not a client")
}

type wrongSchema struct {
	pluginv1.UnimplementedPluginServiceServer
}

func (*wrongSchema) GetSchema(context.Context, *pluginv1.GetSchemaRequest) (*pluginv1.GetSchemaResponse, error) {
	return &pluginv1.GetSchemaResponse{Version: "1.0.0", Types: []*pluginv1.Type{{
		Kind: "label", Name: "odd", Mode: pluginv1.Mode_MODE_MAP,
		Body: &pluginv1.Body{Arguments: []*pluginv1.Argument{{Name: "a", Type: []byte(`"strnig"`)}}},
	}}}, nil
}

// wrongAnswers answers batches according to the configuration of the start
// message.
type wrongAnswers struct {
	pluginv1.UnimplementedPluginServiceServer
}

func (*wrongAnswers) Map(stream pluginv1.PluginService_MapServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	for {
		req, err := stream.Recv()
		if err != nil {
			return nil
		}
		resp := &pluginv1.MapResponse{Rows: req.GetRows()}
		switch first.GetStart().GetType() {
		case "no-arrow":
			resp.Rows = []byte("these are no rows")
		case "too-few":
			resp.Rows = encoded(rows("label", 1))
		case "far-row":
			resp.Rows = encoded(rows("label", 3))
			resp.Errors = []*pluginv1.RowError{{Row: 3}}
		case "silent":
			return nil
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}
