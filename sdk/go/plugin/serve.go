package plugin

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/internal/inprocess"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Serve is a plugin's main. It serves until quern ends the plugin or is gone,
// and does not return when the plugin is faulty: it says why on stderr and
// exits.
//
// The plugin may write to stdout and stderr while it serves: the lines go to
// the log of the run, and the last ones are shown when it crashes. Before Serve
// is called nothing may be written to stdout.
//
// Started by hand with the argument -debug, it prints a variable for quern's
// environment, with which quern uses this process rather than starting one, and
// serves until it is interrupted.
func Serve(p Plugin) {
	s, err := newServer(p)
	if err != nil {
		fmt.Fprintf(os.Stderr, "plugin %s is faulty: %s\n", p.Name, err)
		os.Exit(1)
	}
	if slices.Contains(os.Args[1:], "-debug") || slices.Contains(os.Args[1:], "--debug") {
		if err := serveDebug(s, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	config := serveConfig(s)
	config.GRPCServer = func(opts []grpc.ServerOption) *grpc.Server {
		go endWithParent()
		out := keepOutput()
		return grpc.NewServer(append(append(opts, wire.ServerOptions()...),
			grpc.ChainUnaryInterceptor(out.unary), grpc.ChainStreamInterceptor(out.stream))...)
	}
	goplugin.Serve(config)
}

// serveInProcess serves a Plugin for plugintest, over the same protocol, until
// ctx ends or the client closes the connection; done is closed then.
func serveInProcess(ctx context.Context, p any) (address *goplugin.ReattachConfig, done <-chan struct{}, err error) {
	s, err := newServer(p.(Plugin))
	if err != nil {
		return nil, nil, fmt.Errorf("plugin %s is faulty: %w", p.(Plugin).Name, err)
	}
	addresses, ended := make(chan *goplugin.ReattachConfig, 1), make(chan struct{})
	config := serveConfig(s)
	config.Test = &goplugin.ServeTestConfig{Context: ctx, ReattachConfigCh: addresses, CloseCh: ended}
	config.GRPCServer = func(opts []grpc.ServerOption) *grpc.Server {
		return grpc.NewServer(append(opts, wire.ServerOptions()...)...)
	}
	go goplugin.Serve(config)
	select {
	case address = <-addresses:
		return address, ended, nil
	case <-ended:
		return nil, nil, fmt.Errorf("plugin %s can't be served here", s.plugin.Name)
	}
}

func init() { inprocess.Serve = serveInProcess }

func serveConfig(s *server) *goplugin.ServeConfig {
	return &goplugin.ServeConfig{
		HandshakeConfig: wire.Handshake,
		Plugins:         goplugin.PluginSet{wire.Service: &served{server: s}},
		Logger:          hclog.NewNullLogger(),
	}
}

// served makes a server a go-plugin plugin.
type served struct {
	goplugin.NetRPCUnsupportedPlugin
	server *server
}

func (p *served) GRPCServer(broker *goplugin.GRPCBroker, s *grpc.Server) error {
	connected := *p.server
	connected.broker = broker
	pluginv1.RegisterPluginServiceServer(s, &connected)
	return nil
}

func (p *served) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("a served plugin has no client")
}

// endWithParent ends the process and all that it started when quern is gone,
// however it went: stdin is a pipe that quern holds and never writes to, and
// on Linux the kernel sends a signal, too.
func endWithParent() {
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(gone)
	}()
	select {
	case <-gone:
	case <-parentSignal():
	}
	endGroup()
	os.Exit(1)
}

// stdio restores what go-plugin takes away. It replaces os.Stdout and
// os.Stderr by pipes that it sends over gRPC, so that the last lines before a
// crash are lost; and it does so between the handshake and the first call. The
// real stderr serves both better.
type stdio struct {
	stderr *os.File
	once   sync.Once
}

func keepOutput() *stdio { return &stdio{stderr: os.Stderr} }

func (o *stdio) restore() {
	o.once.Do(func() { os.Stdout, os.Stderr = o.stderr, o.stderr })
}

func (o *stdio) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	o.restore()
	return next(ctx, req)
}

func (o *stdio) stream(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	o.restore()
	return next(srv, s)
}
