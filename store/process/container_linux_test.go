package process_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/quern-dev/quern/store/process"
)

// identityVariable makes the test program print its identity and wait for the end of
// its standard input.
const identityVariable = "QUERN_TEST_IDENTITY"

func TestMain(m *testing.M) {
	if os.Getenv(identityVariable) != "" {
		_ = json.NewEncoder(os.Stdout).Encode(process.Self())
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		return
	}
	os.Exit(m.Run())
}

// TestNothingIsKnownAboutProcessesInContainers starts a process whose ID, 1, means
// another process here.
func TestNothingIsKnownAboutProcessesInContainers(t *testing.T) {
	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = append(os.Environ(), identityVariable+"=1")
	other.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
	}
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = other.Start()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Skip("this system does not let a test create namespaces")
	}
	if err != nil {
		t.Fatal(err)
	}
	var id process.Identity
	if err := json.NewDecoder(out).Decode(&id); err != nil {
		t.Fatal(err)
	}
	if id.PID != 1 || id.Gone() || id.Visible() {
		t.Errorf("while it runs: gone %v, visible %v: %+v", id.Gone(), id.Visible(), id)
	}
	in.Close()
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	if id.Gone() {
		t.Error("a process in a container is said to be gone")
	}
}
