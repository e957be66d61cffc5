// Command apiserver runs a Kubernetes API server for tests:
// apiextensions-apiserver, with an etcd in the same process. It serves custom
// resources with the code that also serves them, and applies them, in a cluster.
// It does not serve Pods and Deployments, and nothing runs.
//
// It listens on the loopback interface, keeps its files in one folder, writes
// the file kubeconfig there when it is ready, and ends with its stdin.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	generated "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	namer "k8s.io/apiserver/pkg/endpoints/openapi"
	generic "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

func main() {
	dir := flag.String("dir", "", "the folder for all files; it must be empty")
	flag.Parse()
	if err := run(*dir); err != nil {
		log.Fatal(err)
	}
}

func run(dir string) error {
	etcd, err := startEtcd(filepath.Join(dir, "etcd"))
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer etcd.Close()
	// The server demands a kubeconfig for delegating authentication. Nothing
	// asks that address.
	nowhere := filepath.Join(dir, "nowhere")
	if err := writeKubeconfig(nowhere, &rest.Config{Host: "http://127.0.0.1:1"}); err != nil {
		return err
	}
	return serve(dir, []string{
		"--etcd-servers=" + etcd.Config().ListenClientUrls[0].String(),
		"--authentication-skip-lookup", "--authentication-kubeconfig=" + nowhere, "--authorization-kubeconfig=" + nowhere, "--kubeconfig=" + nowhere,
		"--enable-priority-and-fairness=false",
		"--disable-admission-plugins=NamespaceLifecycle,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,ValidatingAdmissionPolicy,MutatingAdmissionPolicy",
	})
}

// serve runs the API server until stdin ends. It does as the server's own command
// does, except for the listener and the kubeconfig.
func serve(dir string, flags []string) error {
	o := options.NewCustomResourceDefinitionsServerOptions(os.Stdout, os.Stderr)
	set := pflag.NewFlagSet("apiserver", pflag.ContinueOnError)
	o.AddFlags(set)
	if err := set.Parse(flags); err != nil {
		return err
	}
	secure := o.RecommendedOptions.SecureServing
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := listener.Addr().(*net.TCPAddr)
	secure.Listener, secure.BindPort, secure.ExternalAddress = listener, address.Port, address.IP
	secure.ServerCert.CertDirectory = filepath.Join(dir, "certificates")
	if err := errors.Join(o.ServerRunOptions.ComponentGlobalsRegistry.Set(), o.Complete(), o.Validate()); err != nil {
		return err
	}
	config, err := o.Config()
	if err != nil {
		return err
	}
	definitions := openapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(generated.GetOpenAPIDefinitions)
	config.GenericConfig.OpenAPIConfig = generic.DefaultOpenAPIConfig(definitions, namer.NewDefinitionNamer(apiserver.Scheme))
	server, err := config.Complete().New(generic.NewEmptyDelegate())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	loopback := server.GenericAPIServer.LoopbackClientConfig
	go func() {
		if err := waitUntilReady(ctx, loopback); err != nil {
			log.Fatal(err)
		}
		if err := writeKubeconfig(filepath.Join(dir, "kubeconfig"), loopback); err != nil {
			log.Fatal(err)
		}
	}()
	return server.GenericAPIServer.PrepareRun().RunWithContext(ctx)
}

// waitUntilReady waits until the server is healthy. It never calls itself ready,
// because it waits for kinds of a whole cluster, too.
func waitUntilReady(ctx context.Context, config *rest.Config) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	for {
		response, err := client.Get(config.Host + "/healthz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func startEtcd(dir string) (*embed.Etcd, error) {
	config := embed.NewConfig()
	config.Dir, config.LogLevel, config.UnsafeNoFsync = dir, "error", true
	for _, urls := range []*[]url.URL{&config.ListenClientUrls, &config.ListenPeerUrls} {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		*urls = []url.URL{{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}}
	}
	config.AdvertiseClientUrls, config.AdvertisePeerUrls = config.ListenClientUrls, config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		return nil, errors.Join(errors.New("it ended"), err)
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func writeKubeconfig(path string, c *rest.Config) error {
	config := api.NewConfig()
	config.CurrentContext = "test"
	config.Contexts["test"] = &api.Context{Cluster: "test", AuthInfo: "test"}
	config.Clusters["test"] = &api.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData, TLSServerName: c.ServerName}
	config.AuthInfos["test"] = &api.AuthInfo{Token: c.BearerToken}
	return clientcmd.WriteToFile(*config, path)
}
