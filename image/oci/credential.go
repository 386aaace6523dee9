package oci

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A Credential is who to be at a registry. The zero value is nobody.
type Credential struct {
	Username, Password string
	IdentityToken      string // instead of a password: an OAuth 2 refresh token
}

func (c Credential) empty() bool { return c.Username == "" && c.IdentityToken == "" }

func (c Credential) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
}

// An AuthFile is a Docker configuration or a containers auth.json, as far as logins go.
//
// Source: docs.docker.com, "docker login", credential stores; containers-auth.json(5).
type AuthFile struct {
	Auths       map[string]AuthEntry `json:"auths,omitempty"`
	CredHelpers map[string]string    `json:"credHelpers,omitempty"`
	CredsStore  string               `json:"credsStore,omitempty"`
}

// An AuthEntry is one login of an [AuthFile].
type AuthEntry struct {
	Auth          string `json:"auth,omitempty"` // user:password in base64
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
}

// AuthFiles lists the files where logins are looked for, first match wins: the one that
// is named, or those of containers tools, of Docker, and of Apptainer. env is os.Getenv.
func AuthFiles(named string, env func(string) string) []string {
	if named != "" {
		return []string{named}
	}
	if f := env("REGISTRY_AUTH_FILE"); f != "" {
		return []string{f}
	}
	var files []string
	if dir := env("XDG_RUNTIME_DIR"); dir != "" {
		files = append(files, filepath.Join(dir, "containers/auth.json"))
	}
	home := env("HOME")
	if dir := env("XDG_CONFIG_HOME"); dir != "" {
		files = append(files, filepath.Join(dir, "containers/auth.json"))
	} else if home != "" {
		files = append(files, filepath.Join(home, ".config/containers/auth.json"))
	}
	if dir := env("DOCKER_CONFIG"); dir != "" {
		files = append(files, filepath.Join(dir, "config.json"))
	} else if home != "" {
		files = append(files, filepath.Join(home, ".docker/config.json"))
	}
	if home != "" {
		files = append(files, filepath.Join(home, ".apptainer/docker-config.json"), filepath.Join(home, ".singularity/docker-config.json"))
	}
	return files
}

// FindCredential looks for a login to a repository in files. Files that do not exist are
// skipped, unless there is only one. No login is the zero Credential and no error.
func FindCredential(ctx context.Context, files []string, n Name) (Credential, error) {
	for _, path := range files {
		f, err := ReadAuthFile(path)
		if errors.Is(err, fs.ErrNotExist) && len(files) > 1 {
			continue
		}
		if err != nil {
			return Credential{}, err
		}
		cred, err := f.find(ctx, n)
		if err != nil {
			return Credential{}, fmt.Errorf("%s: %w", path, err)
		}
		if !cred.empty() {
			return cred, nil
		}
	}
	return Credential{}, nil
}

// ReadAuthFile reads the logins of one file.
func ReadAuthFile(path string) (*AuthFile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &AuthFile{}
	if len(bytes.TrimSpace(b)) == 0 {
		return f, nil
	}
	if err := json.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func (f *AuthFile) find(ctx context.Context, n Name) (Credential, error) {
	for _, key := range authKeys(n) {
		if helper := f.CredHelpers[key]; helper != "" {
			return askHelper(ctx, helper, key)
		}
		for _, k := range []string{key, "https://" + key, "http://" + key, "https://" + key + "/v1/", "https://" + key + "/v2/"} {
			if e, ok := f.Auths[k]; ok {
				if cred, err := e.credential(); err != nil || !cred.empty() {
					return cred, err
				}
			}
		}
	}
	if f.CredsStore != "" {
		keys := authKeys(n)
		server := keys[len(keys)-1]
		if n.Registry == dockerHub {
			server = "https://index.docker.io/v1/"
		}
		return askHelper(ctx, f.CredsStore, server)
	}
	return Credential{}, nil
}

// authKeys lists what logins for a repository may be filed under, most specific first.
func authKeys(n Name) []string {
	var keys []string
	for path := n.Registry + "/" + n.Repository; path != n.Registry; path, _ = split(path) {
		keys = append(keys, path)
	}
	keys = append(keys, n.Registry)
	if n.Registry == dockerHub {
		keys = append(keys, "index.docker.io", dockerHubHost)
	}
	return keys
}

func split(path string) (dir, base string) {
	i := strings.LastIndexByte(path, '/')
	return path[:i], path[i+1:]
}

func (e AuthEntry) credential() (Credential, error) {
	c := Credential{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken}
	if e.Auth == "" {
		return c, nil
	}
	b, err := base64.StdEncoding.DecodeString(e.Auth)
	if err != nil {
		return Credential{}, fmt.Errorf("login is not valid base64")
	}
	user, password, ok := strings.Cut(strings.TrimRight(string(b), "\x00"), ":")
	if !ok {
		return Credential{}, fmt.Errorf("login is not of the form user:password")
	}
	c.Username, c.Password = user, password
	return c, nil
}

// helperTimeout is how long a credential helper may take.
const helperTimeout = 30 * time.Second

// askHelper runs a Docker credential helper. It answers that it knows no login in words,
// on standard output and with an exit status.
//
// Source: github.com/docker/docker-credential-helpers, README, "Development".
func askHelper(ctx context.Context, helper, server string) (Credential, error) {
	if helper != filepath.Base(helper) {
		return Credential{}, fmt.Errorf("credential helper %q", helper)
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker-credential-"+helper, "get")
	cmd.Stdin = strings.NewReader(server)
	out, err := cmd.Output()
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) || strings.Contains(strings.ToLower(string(out)), "not found") {
			return Credential{}, nil
		}
		return Credential{}, fmt.Errorf("docker-credential-%s: %w", helper, err)
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return Credential{}, fmt.Errorf("docker-credential-%s: %w", helper, err)
	}
	if answer.Username == "<token>" {
		return Credential{IdentityToken: answer.Secret}, nil
	}
	return Credential{Username: answer.Username, Password: answer.Secret}, nil
}
