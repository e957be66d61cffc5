package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/hcl/v2/hclsimple"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/host/wire"
)

// cliConfig is the configuration of a user, not of a pipeline: the file in
// QUERN_CLI_CONFIG, or quern/config.hcl in the user's configuration folder
// (~/.config on Linux).
type cliConfig struct {
	// DevOverrides substitute a program, or the folder that contains it, for a
	// required plugin, by its source or local name.
	DevOverrides map[string]string `hcl:"dev_overrides,optional"`
	// PluginStartTimeout is how long a plugin may take to start, such as "1m".
	PluginStartTimeout string `hcl:"plugin_start_timeout,optional"`

	startTimeout time.Duration
}

// loadCLIConfig reads the file, if it exists. The variable
// QUERN_PLUGIN_START_TIMEOUT takes precedence.
func loadCLIConfig() (*cliConfig, error) {
	c := &cliConfig{}
	path, named := os.Getenv("QUERN_CLI_CONFIG"), true
	if path == "" {
		named = false
		if dir, err := os.UserConfigDir(); err == nil {
			path = filepath.Join(dir, "quern", "config.hcl")
		}
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named, path == "":
	case err != nil:
		return nil, diag.Failed("the CLI configuration cannot be read", "%w", err)
	default:
		if err := hclsimple.Decode(path, text, nil, c); err != nil {
			return nil, diag.Failed("the CLI configuration is malformed", "%w", err)
		}
	}
	for name, place := range c.DevOverrides {
		if !filepath.IsAbs(place) {
			c.DevOverrides[name] = filepath.Join(filepath.Dir(path), place)
		}
	}
	from := "plugin_start_timeout in " + path
	if v := os.Getenv("QUERN_PLUGIN_START_TIMEOUT"); v != "" {
		c.PluginStartTimeout, from = v, "QUERN_PLUGIN_START_TIMEOUT"
	}
	if c.PluginStartTimeout != "" {
		c.startTimeout, err = time.ParseDuration(c.PluginStartTimeout)
		if err != nil || c.startTimeout <= 0 {
			return nil, diag.Failed(fmt.Sprintf("%s is %q, which is not a valid duration", from, c.PluginStartTimeout), "Use a duration such as \"90s\" or \"2m\".")
		}
	}
	return c, nil
}

// reattached returns the plugins that are already being served, according to
// QUERN_REATTACH_PLUGINS.
func reattached() (map[string]*goplugin.ReattachConfig, error) {
	text := os.Getenv(wire.ReattachVariable)
	if text == "" {
		return nil, nil
	}
	var given map[string]wire.Reattach
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		return nil, diag.Failed(fmt.Sprintf("%s is malformed", wire.ReattachVariable), "Copy the value that the plugin prints when you start it with -debug: %w", err)
	}
	out := map[string]*goplugin.ReattachConfig{}
	for name, r := range given {
		if r.Addr.Network != "unix" || r.Addr.String == "" {
			return nil, diag.Failed(fmt.Sprintf("%s is malformed", wire.ReattachVariable), "The address of plugin %q must be a Unix socket. Copy the value that the plugin prints when you start it with -debug.", name)
		}
		out[name] = &goplugin.ReattachConfig{
			Protocol: goplugin.Protocol(r.Protocol), ProtocolVersion: r.ProtocolVersion, Pid: r.Pid, Test: true,
			Addr: &net.UnixAddr{Name: r.Addr.String, Net: "unix"},
		}
	}
	return out, nil
}
