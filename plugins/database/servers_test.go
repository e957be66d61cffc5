package database

import (
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// server is a database of the tests.
type server struct {
	kind string
	// url and password are those that the source uses. admin may write.
	url, password string
	admin         *sql.DB
}

func (s *server) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, text := range statements {
		if _, err := s.admin.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// eachDatabase runs a test with SQLite and, in make test-databases, with real
// servers that it starts. QUERN_TEST_POSTGRES and QUERN_TEST_MARIADB are the
// folders of the programs initdb and mariadbd.
func eachDatabase(t *testing.T, test func(*testing.T, *server)) {
	t.Run("sqlite", func(t *testing.T) { test(t, startSQLite(t)) })
	for name, start := range map[string]func(*testing.T, string) *server{"QUERN_TEST_POSTGRES": startPostgres, "QUERN_TEST_MARIADB": startMariaDB} {
		t.Run(name, func(t *testing.T) {
			folder := os.Getenv(name)
			if folder == "" {
				t.Skip(name + " is not set: run make test-databases")
			}
			test(t, start(t, folder))
		})
	}
}

func startSQLite(t *testing.T) *server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a b.db")
	admin := open(t, "sqlite3", "file:"+url.PathEscape(path))
	if _, err := admin.Exec("PRAGMA journal_mode = wal"); err != nil {
		t.Fatal(err)
	}
	return &server{kind: "sqlite", url: "sqlite:" + (&url.URL{Path: path}).EscapedPath(), admin: admin}
}

func open(t *testing.T, driver, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// as returns the attributes of a process of a user, if the tests run as root,
// whom servers do not accept. The folder becomes the user's.
func as(t *testing.T, name, folder string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Skip(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(folder, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// short returns a folder whose path is short enough for sockets.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "qdb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func command(t *testing.T, attr *syscall.SysProcAttr, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.SysProcAttr, cmd.Dir, cmd.Env = attr, dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "HOME=" + dir}
	return cmd
}

// run runs a program to its end.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd.Path, err, out)
	}
}

// start starts a server, waits until it answers, and stops it with the test.
func start(t *testing.T, cmd *exec.Cmd, db *sql.DB) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGQUIT); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := db.Ping()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v", cmd.Path, err)
		}
	}
}

func startPostgres(t *testing.T, bin string) *server {
	t.Helper()
	dir, port := short(t), freePort(t)
	attr := as(t, "postgres", dir)
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("hidden"), 0o644); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	run(t, command(t, attr, dir, filepath.Join(bin, "initdb"), "-D", data, "-U", "quern", "-A", "scram-sha-256", "--pwfile", password, "-E", "UTF8", "--no-sync"))
	admin := open(t, "pgx", fmt.Sprintf("postgres://quern:hidden@127.0.0.1:%d/postgres?sslmode=disable", port))
	start(t, command(t, attr, dir, filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-F"), admin)
	return &server{"postgres", fmt.Sprintf("postgres://quern@127.0.0.1:%d/postgres?sslmode=disable", port), "hidden", admin}
}

func startMariaDB(t *testing.T, bin string) *server {
	t.Helper()
	dir, port := short(t), strconv.Itoa(freePort(t))
	attr := as(t, "mysql", dir)
	installer, err := exec.LookPath("mariadb-install-db")
	if err != nil {
		t.Fatal(err)
	}
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "socket")
	run(t, command(t, attr, dir, installer, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db"))
	root := open(t, "mysql", "root@unix("+socket+")/mysql")
	start(t, command(t, attr, dir, filepath.Join(bin, "mariadbd"), "--no-defaults", "--datadir="+data, "--socket="+socket, "--port="+port, "--bind-address=127.0.0.1", "--skip-name-resolve"), root)
	for _, text := range []string{"CREATE DATABASE quern CHARACTER SET utf8mb4", "CREATE USER quern@'127.0.0.1' IDENTIFIED BY 'hidden'", "GRANT ALL ON quern.* TO quern@'127.0.0.1'"} {
		if _, err := root.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	admin := open(t, "mysql", "quern:hidden@tcp(127.0.0.1:"+port+")/quern")
	return &server{"mysql", "mysql://quern@127.0.0.1:" + port + "/quern", "hidden", admin}
}
