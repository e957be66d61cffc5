package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// exchange is a call in progress.
type exchange struct {
	service pluginv1.PluginServiceClient
	// request fills the message number i of those that are sent; false: there
	// are no more.
	request func(i int, m proto.Message) (bool, error)
	// received takes in a response.
	received func(proto.Message) error
}

// call makes a call and returns its error.
type call func(context.Context, *exchange) error

var calls = map[string]call{
	"GetSchema":        unary(pluginv1.PluginServiceClient.GetSchema),
	"Configure":        unary(pluginv1.PluginServiceClient.Configure),
	"Prepare":          unary(pluginv1.PluginServiceClient.Prepare),
	"Fingerprint":      unary(pluginv1.PluginServiceClient.Fingerprint),
	"Read":             responses(pluginv1.PluginServiceClient.Read),
	"Preview":          responses(pluginv1.PluginServiceClient.Preview),
	"Map":              both(pluginv1.PluginServiceClient.Map),
	"Run":              responses(pluginv1.PluginServiceClient.Run),
	"Predict":          both(pluginv1.PluginServiceClient.Predict),
	"Chat":             both(pluginv1.PluginServiceClient.Chat),
	"Embed":            unary(pluginv1.PluginServiceClient.Embed),
	"CheckModel":       unary(pluginv1.PluginServiceClient.CheckModel),
	"CheckSample":      unary(pluginv1.PluginServiceClient.CheckSample),
	"SubmitBatch":      one(pluginv1.PluginServiceClient.SubmitBatch),
	"ReadBatch":        responses(pluginv1.PluginServiceClient.ReadBatch),
	"Stop":             unary(pluginv1.PluginServiceClient.Stop),
	"ReadDeployment":   unary(pluginv1.PluginServiceClient.ReadDeployment),
	"PlanDeployment":   unary(pluginv1.PluginServiceClient.PlanDeployment),
	"ApplyDeployment":  unary(pluginv1.PluginServiceClient.ApplyDeployment),
	"DeleteDeployment": unary(pluginv1.PluginServiceClient.DeleteDeployment),
	"ImportDeployment": unary(pluginv1.PluginServiceClient.ImportDeployment),
	"CallFunction":     unary(pluginv1.PluginServiceClient.CallFunction),
}

// message is a pointer to a message of type M.
type message[M any] interface {
	*M
	proto.Message
}

func unary[Q, R any, PQ message[Q], PR message[R]](f func(pluginv1.PluginServiceClient, context.Context, *Q, ...grpc.CallOption) (*R, error)) call {
	return func(ctx context.Context, x *exchange) error {
		q := new(Q)
		if _, err := x.request(0, PQ(q)); err != nil {
			return err
		}
		r, err := f(x.service, ctx, q)
		if err != nil {
			return err
		}
		return x.received(PR(r))
	}
}

func responses[Q, R any, PQ message[Q], PR message[R]](
	f func(pluginv1.PluginServiceClient, context.Context, *Q, ...grpc.CallOption) (grpc.ServerStreamingClient[R], error),
) call {
	return func(ctx context.Context, x *exchange) error {
		q := new(Q)
		if _, err := x.request(0, PQ(q)); err != nil {
			return err
		}
		stream, err := f(x.service, ctx, q)
		if err != nil {
			return err
		}
		return receive[R, PR](stream.Recv, x)
	}
}

// both sends all requests at once and receives meanwhile, as quern does.
func both[Q, R any, PQ message[Q], PR message[R]](
	f func(pluginv1.PluginServiceClient, context.Context, ...grpc.CallOption) (grpc.BidiStreamingClient[Q, R], error),
) call {
	return func(ctx context.Context, x *exchange) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := f(x.service, ctx)
		if err != nil {
			return err
		}
		sent := make(chan error, 1)
		go func() {
			err := send[Q, R, PQ](stream, x)
			if err != nil {
				cancel()
			}
			sent <- err
		}()
		err = receive[R, PR](stream.Recv, x)
		cancel()
		if sendErr := <-sent; sendErr != nil && !errors.Is(sendErr, context.Canceled) {
			return sendErr
		}
		return err
	}
}

// one sends all requests and receives one response.
func one[Q, R any, PQ message[Q], PR message[R]](
	f func(pluginv1.PluginServiceClient, context.Context, ...grpc.CallOption) (grpc.ClientStreamingClient[Q, R], error),
) call {
	return func(ctx context.Context, x *exchange) error {
		stream, err := f(x.service, ctx)
		if err != nil {
			return err
		}
		for i := 0; ; i++ {
			q := new(Q)
			more, err := x.request(i, PQ(q))
			if err != nil {
				return err
			}
			if !more || stream.Send(q) != nil { // the response tells the reason
				break
			}
		}
		r, err := stream.CloseAndRecv()
		if err != nil {
			return err
		}
		return x.received(PR(r))
	}
}

func send[Q, R any, PQ message[Q]](stream grpc.BidiStreamingClient[Q, R], x *exchange) error {
	for i := 0; ; i++ {
		q := new(Q)
		more, err := x.request(i, PQ(q))
		if err != nil {
			return err
		}
		if !more {
			return stream.CloseSend()
		}
		if err := stream.Send(q); errors.Is(err, io.EOF) {
			return nil // receiving tells the reason
		} else if err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
}

func receive[R any, PR message[R]](recv func() (*R, error), x *exchange) error {
	for {
		r, err := recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := x.received(PR(r)); err != nil {
			return err
		}
	}
}
