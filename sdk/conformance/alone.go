package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/host/wire"
)

// alone starts a process without the client, which holds the process's stdin:
// "stdin" closes it and expects that the process group ends; "by hand" starts
// the program as a person would.
func (r *runner) alone(ctx context.Context, s Scenario) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.program.Path, r.program.Args...)
	cmd.Env = append(os.Environ(), r.program.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.End == "by hand" {
		return byHand(cmd)
	}
	handshake := wire.Handshake
	cmd.Env = append(cmd.Env, handshake.MagicCookieKey+"="+handshake.MagicCookieValue, "PLUGIN_PROTOCOL_VERSIONS=1", "PLUGIN_UNIX_SOCKET_DIR="+r.folder)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	if r.plugin, err = attach(stdout, r.folder); err != nil {
		return err
	}
	defer r.plugin.Kill()
	if err := r.configure(ctx, s.Configuration); err != nil {
		return err
	}
	if err := r.steps(ctx, s.Steps); err != nil {
		return err
	}
	return r.closeStdin(stdin)
}

// byHand expects that a program which quern did not start says so and exits.
func byHand(cmd *exec.Cmd) error {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		return err
	}
	if strings.TrimSpace(out.String()) == "" || strings.Contains(out.String(), "|unix|") {
		return fmt.Errorf("without the cookie, it printed %q, but should print a hint", out.String())
	}
	return nil
}

// attach reads the handshake and connects.
func attach(stdout io.Reader, folder string) (*client.Plugin, error) {
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("read the handshake: %w", err)
	}
	parts := strings.Split(strings.TrimSuffix(line, "\n"), "|")
	if len(parts) < 5 || strings.Join(parts[:3], "|") != "1|1|unix" || parts[4] != "grpc" {
		return nil, fmt.Errorf("the handshake is %q, want 1|1|unix|PATH|grpc|", line)
	}
	if !strings.HasPrefix(parts[3], folder+string(filepath.Separator)) {
		return nil, fmt.Errorf("the socket %s is not in the folder of PLUGIN_UNIX_SOCKET_DIR, %s", parts[3], folder)
	}
	address := &goplugin.ReattachConfig{
		Protocol: goplugin.ProtocolGRPC, ProtocolVersion: wire.ProtocolVersion, Addr: &net.UnixAddr{Net: "unix", Name: parts[3]}, Test: true,
	}
	return client.Attach(client.Command{Name: "conform"}, address)
}

// closeStdin closes a plugin's stdin and expects that the process ends whose ID
// the plugin has written to the file child.
func (r *runner) closeStdin(stdin io.Closer) error {
	text, err := os.ReadFile(filepath.Join(r.folder, "child"))
	if err != nil {
		return err
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	if err := syscall.Kill(child, 0); err != nil {
		return fmt.Errorf("the plugin's child %d does not run: %w", child, err)
	}
	if err := stdin.Close(); err != nil {
		return err
	}
	for range 100 {
		if gone(child) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("5 seconds after its stdin was closed, the plugin's child %d still runs", child)
}

// gone reports whether a process has ended. Until it is reaped, it is a zombie.
func gone(pid int) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z")
}
