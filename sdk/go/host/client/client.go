// Package client starts plugins and calls them: quern's side of the protocol.
//
// Each plugin is a process in a process group of its own, with a minimal
// environment. It ends with the process that started it, for whatever reason
// that ends. Failures are errors that name the plugin and show the last lines
// it wrote to stderr: StartError, Crash, and CallError.
package client

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"sync/atomic"
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

// Command says how to start a plugin.
type Command struct {
	// Name is the plugin's local name, for messages.
	Name string
	Path string
	Args []string
	// Dir is the working folder; empty means the caller's.
	Dir string
	// Env lists additional environment variables: NAME=VALUE, or NAME for the
	// caller's value. By default, a plugin gets PATH, HOME, TMPDIR, LANG, and
	// the like.
	Env []string
	// Digest is the program's digest, for the log.
	Digest string
	// StderrLines is the number of last lines that errors show; 0 means
	// DefaultStderrLines.
	StderrLines int
	// StartTimeout is how long the plugin may take to get ready; 0 means
	// DefaultStartTimeout.
	StartTimeout time.Duration
	// Log receives what the plugin writes and what happens to it; nil means
	// nothing is logged.
	Log hclog.Logger
	// Slow is called if a start or a call takes longer than Patience (0 means
	// DefaultPatience), while it still runs; nil means nothing is called.
	Slow     func(text string)
	Patience time.Duration
}

// complete fills in the defaults.
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

// Plugin is a running plugin. Any number of goroutines can use it.
type Plugin struct {
	command Command
	process *process
	client  *goplugin.Client
	// sockets is the folder of its sockets; empty if it was attached to and no
	// host was served.
	sockets string
	// protocol is the connection.
	protocol goplugin.ClientProtocol
	service  pluginv1.PluginServiceClient
	broker   *goplugin.GRPCBroker

	// json says that the plugin reads values as JSON.
	json atomic.Bool

	// hosts numbers the sockets that a HostService was served on.
	hosts       atomic.Int64
	hostDirOnce sync.Once
	hostDirErr  error

	closeOnce sync.Once
}

// Start starts a plugin and waits until it is ready. If ctx ends first, the
// plugin is killed; afterward ctx has no effect. The caller calls Close.
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
		return fmt.Errorf("it listens on %s %s, where others could call it; a plugin must listen on a Unix socket in the folder "+
			"that PLUGIN_UNIX_SOCKET_DIR names", address.Network(), address)
	}
	if p.protocol, err = p.client.Client(); err != nil {
		return err
	}
	_, err = p.protocol.Dispense(wire.Service)
	return err
}

// Attach connects to a plugin that is already being served: under a debugger,
// by plugin.Serve with -debug, or in a test, by plugintest.Serve. Close ends
// the connection, and a plugin in the same process with it.
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

// called is the service's client as go-plugin expects it.
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

// Name returns the plugin's local name.
func (p *Plugin) Name() string { return p.command.Name }

// Digest returns the program's digest from the Command.
func (p *Plugin) Digest() string { return p.command.Digest }

// Service returns the protocol's calls. Errors are *Crash, *CallError, or the
// context's.
func (p *Plugin) Service() pluginv1.PluginServiceClient { return p.service }

// Stderr returns the last lines that the plugin wrote.
func (p *Plugin) Stderr() []string { return p.process.stderr.lines() }

// Close asks the plugin to end. After two seconds, it kills the plugin and
// everything that the plugin started.
func (p *Plugin) Close() {
	p.closeOnce.Do(func() {
		p.process.closing.Store(true)
		if p.process.started() == nil {
			_ = p.protocol.Close()
			p.removeSockets()
			return
		}
		p.client.Kill()
		p.process.kill()
		p.removeSockets()
	})
}

// Kill kills the plugin and everything that it started.
func (p *Plugin) Kill() {
	p.closeOnce.Do(func() {
		p.process.closing.Store(true)
		p.process.kill()
		p.client.Kill()
		p.removeSockets()
	})
}

var _ runner.Runner = (*process)(nil)

// Exited reports whether the process has ended.
func (p *Plugin) Exited() bool {
	select {
	case <-p.process.exited:
		return true
	default:
		return false
	}
}
