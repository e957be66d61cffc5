package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"

	"github.com/quern-dev/quern/internal/version"
)

// The two modules of a release, and the folder of the second one in the first.
const (
	mainModule = "github.com/quern-dev/quern"
	sdkModule  = mainModule + "/" + sdkFolder
	sdkFolder  = "sdk/go"
)

// commitCommand creates the commit of a release, and its tags, in a clone. On
// the branch, the main module replaces the SDK with the folder sdk/go, so that
// both can change together. "go install" of a version refuses such a
// replacement, so the commit drops it and requires the SDK with the same
// version.
func commitCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("commit", flag.ContinueOnError)
	out := flags.String("out", "", "the folder to clone to, which must not exist")
	if err := parse(flags, args); err != nil {
		return err
	}
	if _, err := releaseNotes(version.Number); err != nil {
		return err
	}
	if err := commit(ctx, *out); err != nil {
		return err
	}
	fmt.Printf("Review %s, then run: git -C %[1]s push origin v%s %s/v%[2]s\n", *out, version.Number, sdkFolder)
	return nil
}

// commit clones the commit of the working folder and commits the release there.
func commit(ctx context.Context, clone string) error {
	origin, err := output(ctx, ".", nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	root := strings.TrimSpace(origin)
	head, err := output(ctx, root, nil, "git", "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	if _, err := output(ctx, root, nil, "git", "clone", "--quiet", "--no-checkout", root, clone); err != nil {
		return err
	}
	if _, err := output(ctx, clone, nil, "git", "checkout", "--quiet", "--detach", strings.TrimSpace(head)); err != nil {
		return err
	}
	if err := requireSDK(clone); err != nil {
		return err
	}
	tag := "v" + version.Number
	for _, args := range [][]string{
		{"commit", "--quiet", "--all", "--message", "Release " + tag},
		{"tag", "--annotate", tag, "--message", "quern " + version.Number},
		{"tag", "--annotate", sdkFolder + "/" + tag, "--message", "quern's Go SDK " + version.Number},
	} {
		if _, err := output(ctx, clone, nil, "git", args...); err != nil {
			return err
		}
	}
	return nil
}

// requireSDK makes the main module of a clone require the SDK that is released
// with it: in go.mod, and in go.sum with checksums of files that nobody can
// download yet.
func requireSDK(clone string) error {
	sdk := module.Version{Path: sdkModule, Version: "v" + version.Number}
	path := filepath.Join(clone, "go.mod")
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	f, err := modfile.Parse(path, content, nil)
	if err != nil {
		return err
	}
	if err := f.DropReplace(sdkModule, ""); err != nil {
		return err
	}
	if err := f.AddRequire(sdk.Path, sdk.Version); err != nil {
		return err
	}
	if content, err = f.Format(); err != nil {
		return err
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	return addSums(clone, sdk)
}

// addSums adds the checksums of the SDK to the go.sum of the main module.
func addSums(clone string, sdk module.Version) error {
	dir, err := os.MkdirTemp("", "quern-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	packed := filepath.Join(dir, "sdk.zip")
	if err := zipModule(packed, clone, sdk, sdkFolder); err != nil {
		return err
	}
	sum, err := dirhash.HashZip(packed, dirhash.Hash1)
	if err != nil {
		return err
	}
	modSum, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return os.Open(filepath.Join(clone, sdkFolder, "go.mod"))
	})
	if err != nil {
		return err
	}
	path := filepath.Join(clone, "go.sum")
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := slices.Collect(strings.Lines(string(content)))
	lines = append(lines,
		fmt.Sprintf("%s %s %s\n", sdk.Path, sdk.Version, sum),
		fmt.Sprintf("%s %s/go.mod %s\n", sdk.Path, sdk.Version, modSum))
	slices.Sort(lines)
	return os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644)
}

// zipModule packs a module of a clone as the Go module proxy does.
func zipModule(path, clone string, m module.Version, folder string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := zip.CreateFromVCS(f, m, clone, "HEAD", folder); err != nil {
		return fmt.Errorf("pack %s: %w", m, err)
	}
	return f.Close()
}

// proxyCommand writes the modules of a release in the layout of the Go module
// proxy, so that GOPROXY=file://DIR can replace the proxy.
func proxyCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	clone := flags.String("from", "", "the clone that \"release commit\" made")
	out := flags.String("out", "", "the folder to write to")
	if err := parse(flags, args); err != nil {
		return err
	}
	return proxy(ctx, *clone, *out)
}

func proxy(ctx context.Context, clone, out string) error {
	at, err := commitTime(ctx, clone)
	if err != nil {
		return err
	}
	for path, folder := range map[string]string{mainModule: "", sdkModule: sdkFolder} {
		m := module.Version{Path: path, Version: "v" + version.Number}
		if err := serveModule(out, clone, m, folder, at); err != nil {
			return err
		}
	}
	return nil
}

func serveModule(out, clone string, m module.Version, folder string, at time.Time) error {
	dir := filepath.Join(out, filepath.FromSlash(m.Path), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": m.Version, "Time": at.UTC()})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, m.Version+".info"), info, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "list"), []byte(m.Version+"\n"), 0o644); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(dir, m.Version+".mod"), filepath.Join(clone, folder, "go.mod")); err != nil {
		return err
	}
	return zipModule(filepath.Join(dir, m.Version+".zip"), clone, m, folder)
}
