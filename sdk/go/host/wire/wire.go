// Package wire is what both ends of the plugin protocol have to agree on
// beside the protocol itself: the handshake, the size of messages, and how
// they are put on the wire. Authors of plugins don't need it.
package wire

import (
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// ProtocolVersion is the version of sdk/proto/quern/plugin that both ends
// have to speak.
const ProtocolVersion = 1

// Service is the name under which go-plugin dispenses PluginService.
const Service = "quern"

// MaxMessage is the greatest size of a message, in bytes.
const MaxMessage = 256 << 20

// Handshake tells a plugin that quern started it.
var Handshake = goplugin.HandshakeConfig{
	ProtocolVersion:  ProtocolVersion,
	MagicCookieKey:   "QUERN_PLUGIN",
	MagicCookieValue: "f2a1d5a4-5f0b-4c6e-9d1e-6f7c1f0a8b55",
}

const (
	// window is how much of a stream may be under way: some batches.
	window = 16 << 20
	// buffer is how much is read or written by one system call.
	buffer = 512 << 10
	// workers are goroutines that serve calls one after the other. One made for
	// each call would grow its stack each time, which costs as much as the rest
	// of a small call; calls beyond so many get one.
	workers = 256
)

// ServerOptions are for who serves.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
		grpc.ReadBufferSize(buffer), grpc.WriteBufferSize(buffer),
		grpc.NumStreamWorkers(workers), grpc.ForceServerCodecV2(codec{}),
	}
}

// DialOptions are for who calls.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage), grpc.ForceCodecV2(codec{}),
		),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithReadBufferSize(buffer), grpc.WithWriteBufferSize(buffer),
	}
}
