package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// commands are the scripts' additional commands:
//
//	status N command...       the command ends with exit status N, or by the signal N (TERM, KILL, ...)
//	servers N                 N coracle processes of this user are there
//	waitgone                  soon no process, mount or socket of ours is left
//	samelines FILE1 FILE2     the files have the same lines, in any order
//	json FILE                 the file is one JSON value that is not empty
//	port NAME                 sets the variable NAME to a TCP port that nobody listens on
//	stalling NAME PORT        sets NAME to the port of a registry that has what the one at PORT has, but of blobs over 64 KiB only the beginning
//	term FILE command...      the command on a terminal, driven by the lines of FILE (see terminal)
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"status":    cmdStatus,
		"servers":   cmdServers,
		"waitgone":  cmdWaitgone,
		"samelines": cmdSamelines,
		"json":      cmdJSON,
		"term":      cmdTerm,
		"port":      cmdPort,
		"stalling":  cmdStalling,
	}
}

func cmdPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: port NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

func cmdStalling(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: stalling NAME PORT")
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "127.0.0.1:" + args[1]})
	proxy.FlushInterval = -1
	proxy.ModifyResponse = func(resp *http.Response) error {
		if strings.Contains(resp.Request.URL.Path, "/blobs/") && resp.ContentLength > 64<<10 {
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(io.LimitReader(resp.Body, 32<<10), never{resp.Request.Context()}), resp.Body}
		}
		return nil
	}
	srv := httptest.NewServer(proxy)
	ts.Defer(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	ts.Setenv(args[0], srv.URL[strings.LastIndexByte(srv.URL, ':')+1:])
}

// never has nothing to read until its context ends.
type never struct{ ctx context.Context }

func (n never) Read([]byte) (int, error) {
	<-n.ctx.Done()
	return 0, n.ctx.Err()
}

func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command...")
	}
	if got := outcome(ts.Exec(args[1], args[2:]...)); got != args[0] {
		ts.Fatalf("%s: ended with %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// command prepares a command as testscript's exec does: in the script's directory, with
// the script's environment, which testscript shows to commands only.
func command(ts *testscript.TestScript, args []string) (*exec.Cmd, error) {
	path := args[0]
	if !strings.Contains(path, "/") {
		for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
			if info, err := os.Stat(dir + "/" + path); err == nil && info.Mode()&0o111 != 0 {
				path = dir + "/" + path
				break
			}
		}
	}
	if err := ts.Exec("env", "-0"); err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\x00"), "\x00")
	return cmd, nil
}

// outcome names how a command ended: "37" or "TERM".
func outcome(err error) string {
	if err == nil {
		return "0"
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err.Error()
	}
	ws := exit.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return strings.TrimPrefix(unix.SignalName(ws.Signal()), "SIG")
	}
	return strconv.Itoa(ws.ExitStatus())
}

func cmdServers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: servers N")
	}
	var found []process
	for deadline := time.Now().Add(patience()); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		found = slices.DeleteFunc(processes(), func(p process) bool { return !p.isServer() })
		if strconv.Itoa(len(found)) == args[0] {
			return
		}
	}
	ts.Fatalf("%d coracle processes, want %s: %v", len(found), args[0], found)
}

func cmdWaitgone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: waitgone")
	}
	pause(ts, func() {
		if left := remains(files(), nil); len(left) > 0 {
			ts.Fatalf("left behind after %v:\n%s", patience(), strings.Join(left, "\n"))
		}
	})
}

func cmdSamelines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: samelines FILE1 FILE2")
	}
	var sorted [2][]string
	for i, name := range args {
		sorted[i] = strings.Split(ts.ReadFile(name), "\n")
		slices.Sort(sorted[i])
	}
	if slices.Equal(sorted[0], sorted[1]) {
		return
	}
	for i, name := range args {
		for _, line := range sorted[i] {
			if _, in := slices.BinarySearch(sorted[1-i], line); !in {
				ts.Logf("only in %s: %s", name, line)
			}
		}
	}
	ts.Fatalf("%s and %s differ", args[0], args[1])
}

func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: json FILE")
	}
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &value))
	switch v := value.(type) {
	case map[string]any:
		if len(v) > 0 {
			return
		}
	case []any:
		if len(v) > 0 {
			return
		}
	}
	ts.Fatalf("%s: no object and no array with anything in it: %v", args[0], value)
}
