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

// Serve serves a plugin. It is the body of main, and returns when quern no
// longer needs the plugin. If the plugin has a mistake, such as an invalid tag,
// Serve prints it to stderr and exits.
//
// The plugin can write to stdout and stderr while it serves: the lines go to
// the log of the run, and quern shows the last ones if the plugin crashes.
// Nothing may be written to stdout before Serve is called.
//
// If the program is started by hand with the argument -debug, Serve prints an
// environment variable that makes quern use this process instead of starting
// one, and serves until it is interrupted.
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
// ctx ends or the client closes the connection; then it closes done.
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
		return nil, nil, fmt.Errorf("plugin %s cannot be served in this process", s.plugin.Name)
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

// served is the plugin as go-plugin expects it.
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

// endWithParent ends the process and everything that it started when quern ends
// for any reason: stdin is a pipe that quern holds and never writes to, and on
// Linux the kernel also sends a signal.
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

// stdio undoes what go-plugin does to the output. It replaces os.Stdout and
// os.Stderr with pipes that it sends over gRPC, between the handshake and the
// first call, so that the last lines before a crash would be lost. The real
// stderr serves both better.
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
