package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// usage contains the resources that a command used.
type usage struct {
	wall time.Duration
	// cpu is the processor time of the command and its descendants.
	cpu time.Duration
	// peaks contains the largest resident size in bytes, by program: the
	// largest of all its processes. It is empty on systems without /proc.
	peaks map[string]int64
}

// peak returns the largest resident size of any process.
func (u usage) peak() int64 {
	var most int64
	for _, p := range u.peaks {
		most = max(most, p)
	}
	return most
}

// median measures several times. It returns the median times, and the maximum
// memory of each program.
func median(times int, measure func(i int) (usage, error)) (usage, error) {
	walls, cpus, peaks := make([]time.Duration, times), make([]time.Duration, times), map[string]int64{}
	for i := range times {
		u, err := measure(i)
		if err != nil {
			return u, err
		}
		walls[i], cpus[i] = u.wall, u.cpu
		for program, peak := range u.peaks {
			peaks[program] = max(peaks[program], peak)
		}
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	return usage{walls[times/2], cpus[times/2], peaks}, nil
}

// The interval between two looks at the processes increases from the first to
// the last duration, because a look takes a few milliseconds of the measured
// processors. Linux records the peak itself, so only growth in the last moments
// of a process is missed.
const (
	firstSampling = 10 * time.Millisecond
	lastSampling  = 160 * time.Millisecond
)

// run runs a command in a folder and waits for it. If it fails, run shows its
// output.
func run(dir string, env []string, program string, args ...string) (usage, error) {
	p, err := start(dir, env, program, args...)
	if err != nil {
		return usage{}, err
	}
	return p.wait()
}

// running is a command in progress.
type running struct {
	cmd     *exec.Cmd
	out     bytes.Buffer
	started time.Time
	watcher *watcher
}

// settle makes the system write what earlier commands left unwritten, because
// it would otherwise be written during the next measurement. It does nothing if
// there is no sync command.
func settle() { _ = exec.Command("sync").Run() }

// start starts a command. The caller waits for it.
func start(dir string, env []string, program string, args ...string) (*running, error) {
	settle()
	p := &running{cmd: exec.Command(program, args...), started: time.Now()}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.watcher = watch(p.cmd.Process.Pid)
	return p, nil
}

func (p *running) wait() (usage, error) {
	err := p.cmd.Wait()
	u := usage{wall: time.Since(p.started), peaks: p.watcher.stop()}
	if s := p.cmd.ProcessState; s != nil {
		u.cpu = s.UserTime() + s.SystemTime()
	}
	if err != nil {
		program, args := filepath.Base(p.cmd.Args[0]), strings.Join(p.cmd.Args[1:], " ")
		return u, fmt.Errorf("%s %s: %w\n%s", program, args, err, tail(p.out.String(), 4000))
	}
	return u, nil
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// watcher monitors a process and its descendants.
type watcher struct {
	pid   int
	peaks map[string]int64
	done  chan struct{}
	wait  sync.WaitGroup
}

func watch(pid int) *watcher {
	w := &watcher{pid: pid, peaks: map[string]int64{}, done: make(chan struct{})}
	w.wait.Go(func() {
		for pause := firstSampling; ; pause = min(2*pause, lastSampling) {
			w.look(w.pid)
			select {
			case <-w.done:
				return
			case <-time.After(pause):
			}
		}
	})
	return w
}

func (w *watcher) stop() map[string]int64 {
	close(w.done)
	w.wait.Wait()
	return w.peaks
}

// look records the peak of a process and continues with its children. It
// ignores a process that no longer exists.
func (w *watcher) look(pid int) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return
	}
	// Between fork and exec, there is no name yet.
	if name := programName(proc); name != "" {
		w.peaks[name] = max(w.peaks[name], highWater(string(status)))
	}
	lists, _ := filepath.Glob(filepath.Join(proc, "task", "*", "children"))
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(children)) {
			if pid, err := strconv.Atoi(child); err == nil {
				w.look(pid)
			}
		}
	}
}

// programName returns the name of a program with its first argument if that is
// a word, to distinguish quern from the plugins that it serves itself.
func programName(proc string) string {
	line, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
	words := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
	if words[0] == "" {
		return ""
	}
	name := filepath.Base(words[0])
	if len(words) == 2 && !strings.HasPrefix(words[1], "-") {
		name += " " + words[1]
	}
	return name
}

func highWater(status string) int64 {
	_, rest, found := strings.Cut(status, "VmHWM:")
	if !found {
		return 0
	}
	fields := strings.Fields(rest)
	kib, _ := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10
}
