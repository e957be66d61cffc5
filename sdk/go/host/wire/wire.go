// Package wire is what both sides of the plugin protocol must agree on in
// addition to the messages: the handshake, the size of messages, and their
// encoding. Plugin authors do not need it.
package wire

import (
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// ProtocolVersion is the version of the protocol that both sides must use.
const ProtocolVersion = 1

// Service is the name under which go-plugin dispenses PluginService.
const Service = "quern"

// MaxMessage is the maximum size of a message in bytes.
const MaxMessage = 256 << 20

// Handshake tells a plugin that quern started it.
var Handshake = goplugin.HandshakeConfig{
	ProtocolVersion:  ProtocolVersion,
	MagicCookieKey:   "QUERN_PLUGIN",
	MagicCookieValue: "f2a1d5a4-5f0b-4c6e-9d1e-6f7c1f0a8b55",
}

const (
	// window is how much of a stream can be in transit: some batches.
	window = 16 << 20
	// buffer is how much is read or written by one system call.
	buffer = 512 << 10
	// workers is the number of goroutines that serve calls one after the other.
	// A new goroutine for each call would grow its stack each time, which costs
	// as much as the rest of a small call. Further calls get a goroutine of
	// their own.
	workers = 256
)

// ServerOptions are the options of a server.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
		grpc.ReadBufferSize(buffer), grpc.WriteBufferSize(buffer),
		grpc.NumStreamWorkers(workers), grpc.ForceServerCodecV2(codec{}),
	}
}

// DialOptions are the options of a client.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage), grpc.ForceCodecV2(codec{}),
		),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithReadBufferSize(buffer), grpc.WithWriteBufferSize(buffer),
	}
}
