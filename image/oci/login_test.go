package oci

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Logins are kept where they are looked for, for this user alone, and what else a file says stays.
func TestLogins(t *testing.T) {
	dir := t.TempDir()
	env := func(key string) string {
		return map[string]string{"HOME": dir, "XDG_RUNTIME_DIR": "/run/user/0"}[key]
	}
	files := AuthFiles("", env)
	path, err := LoginFile(files, "registry.example.org")
	if err != nil || path != filepath.Join(dir, ".config/containers/auth.json") {
		t.Fatalf("LoginFile = %q, %v", path, err)
	}
	if err := SaveLogin(path, "registry.example.org", Credential{Username: "ada", Password: "se:cret"}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode: %v, %v", info.Mode(), err)
	}
	cred, err := FindCredential(t.Context(), files, Name{Registry: "registry.example.org", Repository: "a/b"})
	if err != nil || cred.Username != "ada" || cred.Password != "se:cret" {
		t.Errorf("FindCredential = %+v, %v", cred, err)
	}

	docker := filepath.Join(dir, ".docker/config.json")
	os.Mkdir(filepath.Dir(docker), 0o700)
	if err := os.WriteFile(docker, []byte(`{"auths": {"other.example.org": {"auth": "eA=="}}, "credsStore": "", "proxies": {"a": 1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if path, err = LoginFile(files, "other.example.org"); path != docker || err != nil {
		t.Errorf("LoginFile of a known registry = %q, %v", path, err)
	}
	for i, want := range []bool{true, false} {
		if was, err := RemoveLogin(docker, "other.example.org"); was != want || err != nil {
			t.Errorf("RemoveLogin %d = %v, %v", i, was, err)
		}
	}
	text, _ := os.ReadFile(docker)
	if !strings.Contains(string(text), `"proxies"`) || strings.Contains(string(text), "other.example.org") {
		t.Errorf("the file is now %s", text)
	}
}

func TestParseRegistry(t *testing.T) {
	for in, want := range map[string]string{
		"registry.example.org": "registry.example.org", "docker://localhost:5000": "localhost:5000", "oras://r.example.org/app/x": "r.example.org",
		"docker.io": "docker.io", "https://index.docker.io/v1/": "docker.io", "docker://": "", "": "", "debian": "", "a b.c": "", "user@host.example": "",
	} {
		got, err := ParseRegistry(in)
		if got != want || (want == "") != errors.Is(err, ErrReference) {
			t.Errorf("ParseRegistry(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}
