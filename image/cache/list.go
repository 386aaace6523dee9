package cache

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An Entry is one file that is kept.
type Entry struct {
	Kind string    `json:"kind"` // "image", "blob" or "layer"
	Name string    `json:"name"` // image: the reference it was made from; blob: its digest; layer: a number
	From string    `json:"digest,omitempty"`
	Size int64     `json:"size"` // bytes on disk
	Used time.Time `json:"used"` // when it was last asked for
	Path string    `json:"path"`
}

// The kinds of entries.
const (
	KindImage = "image"
	KindBlob  = "blob"
	KindLayer = "layer" // what is known of a layer in an image file
)

// List returns what the cache in dir keeps, the most recently used first. A cache that
// does not exist is empty.
func List(dir string) ([]Entry, error) {
	var list []Entry
	for _, kind := range []string{imageDir, blobDir, layerDir} {
		files, err := os.ReadDir(filepath.Join(dir, kind))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if e, ok := describe(filepath.Join(dir, kind, f.Name()), kind); ok {
				list = append(list, e)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Entry) int { return b.Used.Compare(a.Used) })
	return list, nil
}

// describe returns the entry for a file, unless it is none.
func describe(path, kind string) (Entry, bool) {
	fi, err := os.Lstat(path)
	name := filepath.Base(path)
	if err != nil || !fi.Mode().IsRegular() || strings.HasSuffix(name, ".json") || strings.HasPrefix(name, ".") {
		return Entry{}, false
	}
	e := Entry{Kind: kind, Name: strings.Replace(name, "-", ":", 1), Size: fi.Size(), Used: fi.ModTime(), Path: path}
	var st unix.Stat_t
	if unix.Lstat(path, &st) == nil {
		e.Size = st.Blocks * 512
	}
	if kind == imageDir {
		e.Name = name
		var k Key
		if b, err := os.ReadFile(strings.TrimSuffix(path, ".sif") + ".json"); err == nil && json.Unmarshal(b, &k) == nil {
			e.Name, e.From = k.Source, string(k.Digest)
		}
	}
	return e, true
}

// A Filter chooses entries to remove.
type Filter struct {
	Kind  string        // "" all
	Older time.Duration // not used for so long; 0: all
	Names []string      // references, digests or the beginning of one; none: all
}

// Matches reports whether the filter chooses e, at time now.
func (f Filter) Matches(e Entry, now time.Time) bool {
	if f.Kind != "" && f.Kind != e.Kind || now.Sub(e.Used) < f.Older {
		return false
	}
	if len(f.Names) == 0 {
		return true
	}
	return slices.ContainsFunc(f.Names, func(name string) bool {
		return name != "" && (name == e.Name || strings.HasPrefix(e.Name, name+":") || strings.HasPrefix(e.From, name) || strings.TrimPrefix(e.Name, "docker://") == name)
	})
}

// Remove removes an entry. Who has it open keeps it.
func Remove(e Entry) error {
	if e.Kind == KindImage {
		os.Remove(strings.TrimSuffix(e.Path, ".sif") + ".json")
	}
	return os.Remove(e.Path)
}

// Sweep removes what crashed processes have left: files that never got their name and
// locks, older than a day.
func Sweep(dir string, now time.Time) {
	for _, kind := range []string{imageDir, blobDir, layerDir, lockDir} {
		files, _ := os.ReadDir(filepath.Join(dir, kind))
		for _, f := range files {
			fi, err := f.Info()
			left := kind == lockDir || strings.HasPrefix(f.Name(), ".") && strings.HasSuffix(f.Name(), ".part")
			if err == nil && left && now.Sub(fi.ModTime()) > 24*time.Hour {
				os.Remove(filepath.Join(dir, kind, f.Name()))
			}
		}
	}
}
