package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

const dockerSocket = "unix:///var/run/docker.sock"

// openDaemon asks a Docker daemon to save an image, and keeps the archive in a nameless
// file: its table of contents comes last.
//
// Source: Docker Engine API, "Export an image".
func (s *Source) openDaemon(ctx context.Context, name string) error {
	if name == "" {
		return fmt.Errorf("%w: want docker-daemon:NAME", ErrReference)
	}
	host := s.o.DockerHost
	if host == "" {
		host = dockerSocket
	}
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return fmt.Errorf("%w: DOCKER_HOST %q is not a unix socket", ErrReference, host)
	}
	if !strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") && !strings.Contains(name, "@") {
		name += ":latest"
	}
	size, err := daemonSize(ctx, path, name)
	if err == nil {
		err = roomFor(s.o.TempDir, size)
	}
	if err != nil {
		return err
	}
	body, err := daemonGet(ctx, path, "/images/"+url.PathEscape(name)+"/get")
	if err != nil {
		return err
	}
	f, err := spool(ctx, body, s.o.TempDir)
	body.Close()
	if err != nil {
		return err
	}
	a := &archiveFS{file: f, files: make(map[string]extent)}
	if err := a.index(); err != nil {
		f.Close()
		return err
	}
	s.store = &dockerArchive{fsys: a, where: "the daemon's answer"}
	s.Name, s.diffOnly = transportDaemon+":"+name, true
	s.Origin = s.Name
	return nil
}

// maxInspect bounds what a daemon says about an image, in bytes.
const maxInspect = 4 << 20

// daemonSize asks how many bytes an image has, about as many as its archive; 0 when the daemon does not say. The error wraps
// [ErrNotFound] if it has no such image.
//
// Source: Docker Engine API, "Inspect an image".
func daemonSize(ctx context.Context, socket, name string) (int64, error) {
	body, err := daemonGet(ctx, socket, "/images/"+url.PathEscape(name)+"/json")
	if err != nil {
		return 0, err
	}
	defer body.Close()
	var answer struct{ Size int64 }
	if json.NewDecoder(io.LimitReader(body, maxInspect)).Decode(&answer) != nil {
		return 0, nil
	}
	return max(0, answer.Size), nil
}

// daemonGet sends a request to the daemon at the socket path.
func daemonGet(ctx context.Context, socket, path string) (io.ReadCloser, error) {
	if _, err := os.Stat(socket); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDaemon, err)
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReference, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fmt.Errorf("%w: %w", ErrNoDaemon, err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, nil
	case http.StatusNotFound:
		err = fmt.Errorf("%w in the Docker daemon", ErrNotFound)
	default:
		err = fmt.Errorf("the Docker daemon answers %s", resp.Status)
	}
	resp.Body.Close()
	return nil, err
}
