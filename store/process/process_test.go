package process_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/quern-dev/quern/store/process"
)

func TestThisProcessIsRunning(t *testing.T) {
	if process.Self().Gone() {
		t.Error("this process is gone")
	}
}

func TestAProcessThatEndedIsGone(t *testing.T) {
	other := exec.Command(os.Args[0], "-test.run=^$")
	if err := other.Run(); err != nil {
		t.Fatal(err)
	}
	id := process.Self()
	id.PID = other.Process.Pid
	if !id.Gone() {
		t.Error("it lives")
	}
}

func TestAReusedProcessIDIsAnotherProcess(t *testing.T) {
	id := process.Self()
	if id.Start == "" {
		t.Skip("this system does not say when a process started")
	}
	id.Start = "1"
	if !id.Gone() {
		t.Error("an ID used again passes for the former process")
	}
}

func TestNothingIsKnownAboutOtherHosts(t *testing.T) {
	id := process.Identity{Host: "elsewhere", PID: 1 << 30}
	if id.Gone() {
		t.Error("a process on another host is said to be gone")
	}
}

func TestARestartIsNoticedOnTheSameMachineOnly(t *testing.T) {
	before := process.Self()
	if before.Machine == "" || before.Boot == "" {
		t.Skip("this system does not report its ID and that of its boot")
	}
	before.Boot = "another"
	if !before.Gone() {
		t.Error("it runs although the machine has been restarted")
	}
	namesake, unnamed, contained := before, before, before
	namesake.Machine, unnamed.Machine, contained.Namespace = "another", "", "another"
	for name, id := range map[string]process.Identity{"of the same name": namesake, "without an ID": unnamed, "with containers": contained} {
		if id.Gone() {
			t.Errorf("a process on another machine %s is said to be gone", name)
		}
	}
}
