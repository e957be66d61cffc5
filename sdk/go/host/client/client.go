// Package client starts plugins and calls them: the side of the protocol that
// quern itself is on.
//
// A plugin runs as a process of its own, in a process group of its own, with
// a cleaned environment. It ends with the process that started it, however
// that ends. What goes wrong with it comes back as an error that names it and
// shows the last lines that it wrote to stderr: StartError, Crash, CallError.
package client

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Defaults of Command.
const (
	DefaultStderrLines  = 20
	DefaultStartTimeout = 15 * time.Second
	DefaultPatience     = 5 * time.Second
)

// Command says how a plugin is started.
type Command struct {
	// Name is the plugin's local name, for messages.
	Name string
	Path string
	Args []string
	// Dir is the working folder; empty: the caller's.
	Dir string
	// Env are further variables of the environment: NAME=VALUE, or NAME for
	// the caller's own value. By itself a plugin sees PATH, HOME, TMPDIR,
	// LANG and the like.
	Env []string
	// Digest is the program's, for who wants to tell it.
	Digest string
	// StderrLines is how many of the last lines errors show; 0:
	// DefaultStderrLines.
	StderrLines int
	// StartTimeout is how long the plugin may take to be ready; 0:
	// DefaultStartTimeout.
	StartTimeout time.Duration
	// Log gets what the plugin writes and what is done with it; nil: nobody.
	Log hclog.Logger
	// Slow is told of a start or a call that takes longer than Patience (0:
	// DefaultPatience), while it still does; nil: nobody.
	Slow     func(text string)
	Patience time.Duration
}

// complete puts the defaults in.
func (c Command) complete() Command {
	if c.StderrLines == 0 {
		c.StderrLines = DefaultStderrLines
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = DefaultStartTimeout
	}
	if c.Patience == 0 {
		c.Patience = DefaultPatience
	}
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	c.Log = c.Log.Named("plugin." + c.Name)
	return c
}

// Plugin is a plugin's process. Its methods may be called by several
// goroutines.
type Plugin struct {
	command Command
	process *process
	client  *goplugin.Client
	// sockets is the folder of its sockets; "" of one that was attached to.
	sockets string
	// protocol is the connection.
	protocol goplugin.ClientProtocol
	service  pluginv1.PluginServiceClient
	broker   *goplugin.GRPCBroker

	closeOnce sync.Once
}

// Start starts a plugin and waits until it is ready. When ctx ends before, the
// plugin is killed; afterwards ctx has no part in it. The caller calls Close.
func Start(ctx context.Context, command Command) (*Plugin, error) {
	command = command.complete()
	sockets, err := socketDir()
	if err != nil {
		return nil, fmt.Errorf("start plugin %q: %w", command.Name, err)
	}
	p := &Plugin{command: command, sockets: sockets}
	cmd := exec.Command(command.Path, command.Args...)
	cmd.Dir, cmd.Env = command.Dir, environment(command.Env)
	p.process = newProcess(cmd, command.StderrLines, command.Log)
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  wire.Handshake,
		Plugins:          goplugin.PluginSet{wire.Service: &called{plugin: p}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		RunnerFunc:       p.process.adopt,
		SkipHostEnv:      true,
		StartTimeout:     command.StartTimeout,
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: sockets},
		GRPCDialOptions:  p.dialOptions(),
		Logger:           hclog.NewNullLogger(),
	})
	defer p.slow("to start")()
	if err := p.connect(ctx); err != nil {
		p.Kill()
		return nil, err
	}
	command.Log.Debug("started", "path", command.Path, "pid", p.process.ID(), "digest", command.Digest)
	return p, nil
}

// connect starts the process and dispenses its service.
func (p *Plugin) connect(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		done <- p.dispense()
	}()
	select {
	case err := <-done:
		if err != nil {
			return p.startError(err)
		}
		return nil
	case <-ctx.Done():
		p.process.kill()
		<-done //nolint:errcheck // It failed, for it was killed.
		return ctx.Err()
	}
}

func (p *Plugin) dispense() (err error) {
	address, err := p.client.Start()
	if err != nil {
		return err
	}
	if address.Network() != "unix" {
		return fmt.Errorf("it listens on %s %s, where others could call it; a plugin listens on a Unix socket in the folder "+
			"that PLUGIN_UNIX_SOCKET_DIR names", address.Network(), address)
	}
	if p.protocol, err = p.client.Client(); err != nil {
		return err
	}
	_, err = p.protocol.Dispense(wire.Service)
	return err
}

// Attach connects to a plugin that is served already: under a debugger, by
// plugin.Serve with -debug, or in a test, by plugintest.Serve. Close ends
// the connection; what is served in process ends with it.
func Attach(command Command, address *goplugin.ReattachConfig) (*Plugin, error) {
	command = command.complete()
	p := &Plugin{command: command, process: newProcess(&exec.Cmd{}, 0, command.Log)}
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  wire.Handshake,
		Plugins:          goplugin.PluginSet{wire.Service: &called{plugin: p}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		Reattach:         address,
		GRPCDialOptions:  p.dialOptions(),
		Logger:           hclog.NewNullLogger(),
	})
	if err := p.dispense(); err != nil {
		return nil, fmt.Errorf("attach to plugin %q: %w", command.Name, err)
	}
	return p, nil
}

func (p *Plugin) dialOptions() []grpc.DialOption {
	return append(wire.DialOptions(),
		grpc.WithChainUnaryInterceptor(p.interceptUnary), grpc.WithChainStreamInterceptor(p.interceptStream))
}

// called makes the service's client a go-plugin plugin.
type called struct {
	goplugin.NetRPCUnsupportedPlugin
	plugin *Plugin
}

func (c *called) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return fmt.Errorf("a plugin's caller does not serve it")
}

func (c *called) GRPCClient(_ context.Context, broker *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	c.plugin.broker = broker
	c.plugin.service = pluginv1.NewPluginServiceClient(conn)
	return c.plugin.service, nil
}

// Name is the plugin's local name.
func (p *Plugin) Name() string { return p.command.Name }

// Digest is the program's digest as the command gave it.
func (p *Plugin) Digest() string { return p.command.Digest }

// Service makes the protocol's calls. Its errors are *Crash, *CallError, or
// those of the context.
func (p *Plugin) Service() pluginv1.PluginServiceClient { return p.service }

// Stderr returns the last lines that the plugin wrote.
func (p *Plugin) Stderr() []string { return p.process.stderr.lines() }

// Host serves a HostService to the plugin until stop is called; the id goes
// into RunRequest.host. Stop ends calls that are under way and waits for them.
func (p *Plugin) Host(host pluginv1.HostServiceServer) (id uint32, stop func()) {
	id = p.broker.NextId()
	created := make(chan *grpc.Server, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(created)
		p.broker.AcceptAndServe(id, func(opts []grpc.ServerOption) *grpc.Server {
			s := grpc.NewServer(append(opts, wire.ServerOptions()...)...)
			pluginv1.RegisterHostServiceServer(s, host)
			created <- s
			return s
		})
	}()
	return id, func() {
		if s, ok := <-created; ok {
			s.Stop()
		}
		<-ended
	}
}

// Close asks the plugin to end, and ends it and all that it started if it does
// not within two seconds.
func (p *Plugin) Close() {
	p.closeOnce.Do(func() {
		p.process.closing.Store(true)
		if p.process.started() == nil {
			_ = p.protocol.Close()
			return
		}
		p.client.Kill()
		p.process.kill()
		_ = os.RemoveAll(p.sockets)
	})
}

// Kill ends the plugin and all that it started at once.
func (p *Plugin) Kill() {
	p.closeOnce.Do(func() {
		p.process.closing.Store(true)
		p.process.kill()
		p.client.Kill()
		_ = os.RemoveAll(p.sockets)
	})
}

var _ runner.Runner = (*process)(nil)

// Exited says whether the process has ended.
func (p *Plugin) Exited() bool {
	select {
	case <-p.process.exited:
		return true
	default:
		return false
	}
}
