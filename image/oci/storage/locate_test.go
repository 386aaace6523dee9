package storage

import (
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

var errLoop = unix.ELOOP

func TestPlaces(t *testing.T) {
	host, home := t.TempDir(), t.TempDir()
	put(t, filepath.Join(home, "own.conf"), []byte("[storage]\ngraphroot='/own'\nimagestore='/own/images'\n[storage.options]\nadditionalimagestores=['/shared', '/lazy:ref']\n"))
	put(t, filepath.Join(home, "xdg/containers/storage.conf"), []byte("[storage]\nrootless_storage_path='$HOME/mine'\n"))
	put(t, filepath.Join(host, "etc/containers/storage.conf"), []byte("[storage]\ndriver='overlay'\ngraphroot='/graph'\nrootless_storage_path='/scratch/$USER-$UID'\n"))
	none := t.TempDir()
	for _, tt := range []struct {
		host string
		env  map[string]string
		root bool
		want []string
	}{
		{none, map[string]string{"HOME": "/home/ada"}, false, []string{"/home/ada/.local/share/containers/storage"}},
		{none, map[string]string{"HOME": "/home/ada", "XDG_DATA_HOME": "/data"}, false, []string{"/data/containers/storage"}},
		{none, map[string]string{"HOME": "/root"}, true, []string{"/var/lib/containers/storage"}},
		{host, map[string]string{"HOME": "/root"}, true, []string{"/graph"}},
		{host, map[string]string{"HOME": "/home/ada", "USER": "ada"}, false, []string{"/scratch/ada-7"}},
		{host, map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": home + "/xdg"}, false, []string{"/h/mine"}},
		{host, map[string]string{"CONTAINERS_STORAGE_CONF": home + "/own.conf"}, false, []string{"/own", "/own/images", "/shared", "/lazy"}},
		{none, map[string]string{}, false, nil},
	} {
		places, err := Places(User{Env: func(k string) string { return tt.env[k] }, Root: tt.root, UID: 7, Host: tt.host})
		var got []string
		for _, p := range places {
			got = append(got, p.Root)
		}
		if !reflect.DeepEqual(got, tt.want) || (err != nil) != (tt.want == nil) {
			t.Errorf("Places(%v) = %q, %v; want %q", tt.env, got, err, tt.want)
		}
	}
	put(t, filepath.Join(home, "bad.conf"), []byte("[storage\n"))
	if _, err := Places(User{Env: func(string) string { return home + "/bad.conf" }, Host: none}); err == nil {
		t.Error("a file that is no TOML is taken")
	}
}

func TestParsePlace(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Place
		ok   bool
	}{
		{"/a/b", Place{Root: "/a/b"}, true},
		{"overlay@/a+/run", Place{Root: "/a", Driver: "overlay"}, true},
		{"vfs@/a+/run:x=y,z", Place{Root: "/a", Driver: "vfs"}, true},
		{"btrfs@/a", Place{}, false},
		{"a", Place{}, false},
		{"", Place{}, false},
	} {
		got, err := ParsePlace(tt.in)
		if (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("ParsePlace(%q) = %v, %v", tt.in, got, err)
		}
	}
}

// Without subordinate ids, or a program that maps them, there is no helper; and a helper whose ids nobody maps ends.
func TestNoHelper(t *testing.T) {
	for _, m := range []Maps{{}, {NewUIDMap: "/bin/true", NewGIDMap: "/bin/true"}} {
		if h, err := startHelper(t.Context(), m); h != nil || fmt.Sprint(err) != ErrSubIDs.Error() {
			t.Errorf("startHelper(%v) = %v, %v", m, h, err)
		}
	}
	if !IsHelper([]string{HelperName}) || IsHelper(nil) || IsHelper([]string{"coracle"}) {
		t.Error("IsHelper")
	}
}
