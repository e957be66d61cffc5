package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/quern-dev/quern/sdk/go/host/wire"
)

// serveDebug serves on a socket of its own until it is interrupted. Any number
// of commands can connect, one after the other.
func serveDebug(s *server, out io.Writer) error {
	dir, err := os.MkdirTemp("", "quern-debug-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "plugin.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listen for quern: %w", err)
	}
	where := wire.Reattach{Protocol: string(goplugin.ProtocolGRPC), ProtocolVersion: wire.ProtocolVersion, Pid: os.Getpid()}
	where.Addr.Network, where.Addr.String = "unix", socket
	text, err := json.Marshal(map[string]wire.Reattach{s.plugin.Name: where})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Plugin %s is running. Set this variable where you run quern, and press Ctrl-C here to stop the plugin:\n\n    %s='%s'\n\n"+
		"If required_plugins lists the plugin under another source or local name, replace %q with it.\n", s.plugin.Name, wire.ReattachVariable, text, s.plugin.Name)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("wait for quern: %w", err)
		}
		go serveConnection(s, conn)
	}
}

// serveConnection serves one command. go-plugin's broker serves only one
// caller, so each connection has a server of its own.
func serveConnection(s *server, conn net.Conn) {
	var calls *grpc.Server
	server := &goplugin.GRPCServer{
		Plugins: goplugin.PluginSet{wire.Service: &served{server: s}},
		Server: func(opts []grpc.ServerOption) *grpc.Server {
			calls = grpc.NewServer(append(opts, wire.ServerOptions()...)...)
			return calls
		},
		Stdout: silence{}, Stderr: silence{},
	}
	if err := server.Init(); err != nil {
		hclog.Default().Error("cannot serve a connection", "error", err)
		_ = conn.Close()
		return
	}
	one := &oneConnection{conn: conn, closed: make(chan struct{})}
	go func() {
		<-one.closed
		server.Stop()
	}()
	_ = calls.Serve(one)
}

// silence is the output that go-plugin passes to the caller: none, since the
// plugin writes to its own terminal.
type silence struct{}

func (silence) Read([]byte) (int, error) { select {} }

// oneConnection is a listener that accepts one connection and lasts as long as
// it does.
type oneConnection struct {
	mu     sync.Mutex
	conn   net.Conn // nil: it was given
	closed chan struct{}
	once   sync.Once
}

func (o *oneConnection) Accept() (net.Conn, error) {
	o.mu.Lock()
	conn := o.conn
	o.conn = nil
	o.mu.Unlock()
	if conn != nil {
		return &watchedConnection{Conn: conn, closed: func() { _ = o.Close() }}, nil
	}
	<-o.closed
	return nil, net.ErrClosed
}

func (o *oneConnection) Close() error {
	o.once.Do(func() { close(o.closed) })
	return nil
}

func (o *oneConnection) Addr() net.Addr { return &net.UnixAddr{Name: "debug", Net: "unix"} }

type watchedConnection struct {
	net.Conn
	closed func()
}

func (c *watchedConnection) Close() error {
	defer c.closed()
	return c.Conn.Close()
}
