package mock

import (
	"context"
	"fmt"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// served is a server that is being served, and its client.
type served struct {
	client *client.Plugin
	cancel context.CancelFunc
	ended  <-chan struct{}
}

// serve serves a mock in this process.
func serve(s *server) (*served, error) {
	ctx, cancel := context.WithCancel(context.Background())
	addresses, ended := make(chan *goplugin.ReattachConfig, 1), make(chan struct{})
	go goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: wire.Handshake,
		Plugins:         goplugin.PluginSet{wire.Service: &offered{server: s}},
		Logger:          hclog.NewNullLogger(),
		Test:            &goplugin.ServeTestConfig{Context: ctx, ReattachConfigCh: addresses, CloseCh: ended},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(append(opts, wire.ServerOptions()...),
				grpc.ChainUnaryInterceptor(quietUnary), grpc.ChainStreamInterceptor(quietStream))...)
		},
	})
	var address *goplugin.ReattachConfig
	select {
	case address = <-addresses:
	case <-ended:
		cancel()
		return nil, fmt.Errorf("the mock of %s cannot be served", s.at)
	}
	c, err := client.Attach(client.Command{Name: s.name}, address)
	if err != nil {
		cancel()
		<-ended
		return nil, err
	}
	return &served{c, cancel, ended}, nil
}

// close ends the server. Closing the client ends it; canceling as well would end it twice
// at the same time.
func (s *served) close() {
	s.client.Close()
	<-s.ended
	s.cancel()
}

// offered is the mock as go-plugin expects it.
type offered struct {
	goplugin.NetRPCUnsupportedPlugin
	server *server
}

func (p *offered) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	pluginv1.RegisterPluginServiceServer(s, p.server)
	return nil
}

func (p *offered) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("a mock has no client")
}

func quietUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	return quiet(func() (any, error) { return next(ctx, req) })
}

func quietStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	_, err := quiet(func() (any, error) { return nil, next(srv, stream) })
	return err
}
