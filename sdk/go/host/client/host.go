package client

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"

	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// HostAddress is where a plugin reaches a HostService. The zero value is none.
type HostAddress struct {
	// Socket is the path of a Unix socket.
	Socket string
	// Broker is the service's ID at go-plugin's broker, for plugins that were built
	// before there was a socket.
	Broker uint32
}

// Host serves a HostService to the plugin until stop is called. The address goes
// into the request that starts the call. stop cancels the calls in progress and
// waits for them.
func (p *Plugin) Host(host pluginv1.HostServiceServer) (address HostAddress, stop func(), err error) {
	dir, err := p.hostDir()
	if err != nil {
		return HostAddress{}, nil, err
	}
	address = HostAddress{Socket: filepath.Join(dir, fmt.Sprintf("host-%d", p.hosts.Add(1))), Broker: p.broker.NextId()}
	listener, err := net.Listen("unix", address.Socket)
	if err != nil {
		return HostAddress{}, nil, fmt.Errorf("serve models to plugin %q: %w", p.Name(), err)
	}
	server := grpc.NewServer(wire.ServerOptions()...)
	pluginv1.RegisterHostServiceServer(server, host)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	// A plugin without a broker refuses the offer, and uses the socket.
	if offered, err := p.broker.Accept(address.Broker); err == nil {
		serving.Go(func() { _ = server.Serve(offered) })
	}
	return address, func() {
		server.Stop()
		serving.Wait()
	}, nil
}

// hostDir returns the folder for the sockets of hosts, which only this user can
// enter. One that was attached to has no folder of its own yet.
func (p *Plugin) hostDir() (string, error) {
	p.hostDirOnce.Do(func() {
		if p.sockets == "" {
			p.sockets, p.hostDirErr = socketDir()
		}
	})
	if p.hostDirErr != nil {
		return "", fmt.Errorf("serve models to plugin %q: %w", p.Name(), p.hostDirErr)
	}
	return p.sockets, nil
}

// removeSockets removes the folder of the plugin's sockets.
func (p *Plugin) removeSockets() {
	p.hostDirOnce.Do(func() {})
	if p.sockets != "" {
		_ = os.RemoveAll(p.sockets)
	}
}
