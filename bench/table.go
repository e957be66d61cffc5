package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// verdict says whether a result is within its limit.
type verdict string

const (
	noLimit     verdict = ""
	metLimit    verdict = "ok"
	missedLimit verdict = "MISSED"
)

// result is a line of the table.
type result struct {
	what, limit, measured string
	verdict               verdict
}

func missed(results []result) bool {
	return slices.ContainsFunc(results, func(r result) bool { return r.verdict == missedLimit })
}

// atMost returns a result that should not be above a limit.
func atMost[T cmp.Ordered](what string, measured, limit T, unit func(T) string) result {
	return result{what, "≤ " + unit(limit), unit(measured), judge(measured <= limit)}
}

// atLeast returns a result that should not be below a limit.
func atLeast[T cmp.Ordered](what string, measured, limit T, unit func(T) string) result {
	return result{what, "≥ " + unit(limit), unit(measured), judge(measured >= limit)}
}

// figure returns a result without a limit.
func figure(what, measured string) result { return result{what: what, measured: measured} }

func judge(ok bool) verdict {
	if ok {
		return metLimit
	}
	return missedLimit
}

func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func megabytes(n int64) string {
	if n < 10<<20 {
		return fmt.Sprintf("%.2f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f MB", float64(n)/1e6)
}

func rate(perSecond int) string {
	if perSecond < 1_000_000 {
		return thousands(int64(perSecond)) + " rows/s"
	}
	return fmt.Sprintf("%.2f M rows/s", float64(perSecond)/1e6)
}

// thousands formats a number below a million with a separator.
func thousands(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

func multiple(factor float64) string { return fmt.Sprintf("%.2f ×", factor) }

func count(n int) string { return fmt.Sprintf("%d rows", n) }

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

func times(ratio float64) string { return fmt.Sprintf("%.1f ×", ratio) }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// largest lists the peaks of a command's programs, starting with the largest.
func largest(u usage) string {
	programs := make([]string, 0, len(u.peaks))
	for name := range u.peaks {
		programs = append(programs, name)
	}
	slices.SortFunc(programs, func(a, b string) int { return cmp.Compare(u.peaks[b], u.peaks[a]) })
	for i, name := range programs {
		programs[i] = name + " " + megabytes(u.peaks[name])
	}
	return strings.Join(programs, ", ")
}

func printTable(w io.Writer, results []result) {
	fmt.Fprintln(w, machine())
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tLIMIT\tMEASURED\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.what, r.limit, r.measured, r.verdict)
	}
	_ = t.Flush()
}

// writeMarkdown writes the table for a page of the documentation.
func writeMarkdown(path string, results []result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| what | limit | measured | |\n| --- | --- | --- | --- |\n", machine())
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.what, r.limit, r.measured, r.verdict)
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// machine describes the machine that the measurements were made on.
func machine() string {
	parts := []string{fmt.Sprintf("%d cores", runtime.NumCPU())}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(info), "model name"); ok {
			model, _, _ := strings.Cut(rest, "\n")
			parts = append(parts, strings.Trim(model, " \t:"))
		}
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int64
		if _, err := fmt.Sscanf(string(info), "MemTotal: %d", &kib); err == nil {
			parts = append(parts, fmt.Sprintf("%.0f GB of memory", float64(kib)/1e6))
		}
	}
	parts = append(parts, runtime.GOOS+"/"+runtime.GOARCH, runtime.Version())
	if out, err := exec.Command("uname", "-r").Output(); err == nil {
		parts = append(parts, "kernel "+strings.TrimSpace(string(out)))
	}
	return strings.Join(parts, ", ") + ", " + time.Now().UTC().Format("2006-01-02")
}
