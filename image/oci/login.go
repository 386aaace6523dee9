package oci

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"coracle/image/output"
)

// ParseRegistry reads the host of a registry, with or without "docker://", "oras://" or "https://" before it and a path behind it.
// The error wraps [ErrReference].
func ParseRegistry(s string) (string, error) {
	host := s
	for _, prefix := range []string{"docker://", "oras://", "https://", "http://"} {
		host = strings.TrimPrefix(host, prefix)
	}
	host, _, _ = strings.Cut(host, "/")
	if host == "index.docker.io" || host == dockerHubHost {
		host = dockerHub
	}
	if !isHost(host) || strings.ContainsAny(host, " \t\r\n\"\\@") {
		return "", fmt.Errorf("%w: %q is no host of a registry", ErrReference, s)
	}
	return host, nil
}

// CheckLogin asks a registry whether it knows a login. The error wraps [ErrDenied] when it does not. A registry
// that asks nobody knows everybody.
//
// Source: OCI distribution specification, "Determining Support".
func CheckLogin(ctx context.Context, registry string, o Options) error {
	host := registry
	if host == dockerHub {
		host = dockerHubHost
	}
	r, err := newRegistry(Name{Registry: registry}, endpoint{host: host}, &o)
	if err != nil {
		return err
	}
	resp, err := r.fetch(ctx, r.scheme+"://"+host+"/v2/", "", http.Header{})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// LoginFile returns the file where a login is to be kept: the one that has one for that registry already, else the one that
// containers tools read on all nodes. files are those of [AuthFiles].
func LoginFile(files []string, registry string) (string, error) {
	if len(files) == 1 {
		return files[0], nil
	}
	for _, path := range files {
		if f, err := ReadAuthFile(path); err == nil && f.Auths[registry] != (AuthEntry{}) {
			return path, nil
		}
	}
	for _, path := range files {
		if strings.HasSuffix(path, "containers/auth.json") && !strings.HasPrefix(path, "/run/") {
			return path, nil
		}
	}
	return "", errors.New("no place for a login: HOME is not set (--authfile names one)")
}

// SaveLogin writes a login into the file at path, which nobody else may read. What else is in the file stays.
func SaveLogin(path, registry string, c Credential) error {
	return changeLogins(path, func(auths map[string]json.RawMessage) (err error) {
		auths[registry], err = json.Marshal(AuthEntry{Auth: base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password))})
		return err
	})
}

// RemoveLogin takes the logins for a registry out of the file at path and tells whether there was one.
func RemoveLogin(path, registry string) (bool, error) {
	f, err := ReadAuthFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	keys := []string{registry, "https://" + registry, "http://" + registry, "https://" + registry + "/v1/", "https://" + registry + "/v2/"}
	if registry == dockerHub {
		keys = append(keys, "index.docker.io", "https://index.docker.io/v1/")
	}
	if !slices.ContainsFunc(keys, func(key string) bool { _, ok := f.Auths[key]; return ok }) {
		return false, nil
	}
	return true, changeLogins(path, func(auths map[string]json.RawMessage) error {
		for _, key := range keys {
			delete(auths, key)
		}
		return nil
	})
}

// changeLogins rewrites a file of logins, a link's target if it is one.
func changeLogins(path string, change func(map[string]json.RawMessage) error) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	document, auths := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	switch b, err := os.ReadFile(path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
	case err != nil:
		return err
	case len(bytes.TrimSpace(b)) > 0:
		if err := json.Unmarshal(b, &document); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if list := document["auths"]; list != nil {
		if err := json.Unmarshal(list, &auths); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if auths == nil { // the file says null
		auths = map[string]json.RawMessage{}
	}
	if err := change(auths); err != nil {
		return err
	}
	var err error
	if document["auths"], err = json.Marshal(auths); err != nil {
		return err
	}
	text, err := json.MarshalIndent(document, "", "\t")
	if err != nil {
		return err
	}
	f, err := output.Create(path, 0o600, true)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(append(text, '\n')); err != nil {
		return err
	}
	return f.Commit()
}
