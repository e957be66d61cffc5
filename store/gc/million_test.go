package gc_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/gc"
	"github.com/quern-dev/quern/store/state"
)

// BenchmarkCollect collects a store of a million blobs, or as many as
// QUERN_BENCH_BLOBS says, of which an environment refers to half. Run it with
// -benchtime=1x.
func BenchmarkCollect(b *testing.B) {
	n := 1_000_000
	if text := os.Getenv("QUERN_BENCH_BLOBS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	for range b.N {
		b.StopTimer()
		s := crowded(b, n)
		b.StartTimer()
		dry, err := gc.Collect(context.Background(), s, gc.Options{Now: time.Now(), DryRun: true})
		b.StopTimer()
		if err != nil || dry.Blobs != n/2 {
			b.Fatalf("the dry run found %+v: %v", dry, err)
		}
		b.ReportMetric(b.Elapsed().Seconds(), "dry-s")
		before := used(b)
		b.StartTimer()
		did, err := gc.Collect(context.Background(), s, gc.Options{Now: time.Now()})
		b.StopTimer()
		if err != nil || did.Blobs != n/2 || did.KeptBlobs < n/2 {
			b.Fatalf("it removed %+v: %v", did, err)
		}
		b.ReportMetric((used(b) - before).Seconds(), "removal-cpu-s")
	}
}

// used returns the processor time of this process, which does not depend on what else
// the machine does.
func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// crowded returns a store with n small blobs, every other one of which an
// environment refers to.
func crowded(b *testing.B, n int) *store.Store {
	b.Helper()
	s, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	var used []artifact.File
	for _, folder := range "0123456789abcdef" {
		if err := os.MkdirAll(filepath.Join(s.Dir, "blobs/sha256", string(folder)), 0o700); err != nil {
			b.Fatal(err)
		}
	}
	for i := range n {
		content := binary.LittleEndian.AppendUint64(nil, uint64(i))
		sum := sha256.Sum256(content)
		name := hex.EncodeToString(sum[:])
		if err := os.WriteFile(filepath.Join(s.Dir, "blobs/sha256", name[:1], name), content, 0o400); err != nil {
			b.Fatal(err)
		}
		if i%2 == 0 {
			used = append(used, artifact.File{Name: strconv.Itoa(i), Digest: blob.Sum(content), Size: int64(len(content))})
		}
	}
	st, err := s.States().Create("default", nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	const each = 1000
	for i := 0; i < len(used); i += each {
		ref, err := artifact.Put(s.Blobs, &artifact.Artifact{Kind: "model", Files: used[i:min(i+each, len(used))]})
		if err != nil {
			b.Fatal(err)
		}
		address := "train.m" + strconv.Itoa(i/each)
		st.Instances[address] = &state.Instance{Address: address, Kind: "train", Outputs: map[string]artifact.Ref{"": ref}}
	}
	if err := s.States().Save(st); err != nil {
		b.Fatal(err)
	}
	return s
}
