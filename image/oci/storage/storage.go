// Package storage reads the images that Podman, Buildah and CRI-O keep on this machine: "containers storage", with the
// drivers overlay and vfs.
//
// Layers are not made of the directories that they have been unpacked to, whose owners depend on how the store maps
// ids and whose whiteouts on its driver. Beside each layer the store keeps a record of the archive that it came in, all but the
// contents of files ("tar-split"). [Image.Layer] puts both together again, so that a layer's headers are those that
// the image has, and its digest tells whether anything is wrong.
//
// Files of a store belong to its user's subordinate ids; see [Maps].
//
// Source: containers-storage.conf(5), and stores that Podman 4.3 and Buildah 1.28 have made.
package storage

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What can be wrong with a store.
var (
	ErrCorrupt  = errors.New("the store is damaged")
	ErrNoRecord = errors.New("the store has no record of the layer's archive")
	ErrNoStore  = errors.New("no images of Podman")
)

// maxMeta bounds a file of a store that is read into memory, in bytes: a thousand images have one of 3 MB.
const maxMeta = 256 << 20

// A Store is what one directory keeps with one driver.
type Store struct {
	root   string // the directory: "/home/ada/.local/share/containers/storage"
	driver string // "overlay" or "vfs"
	images []Image
	layers map[string]layerRecord
}

// A Set is the stores that a user's images are in: a layer may stand on one of another store.
type Set struct {
	Stores []*Store
	open   *opener
}

// An Image is one image of a store.
type Image struct {
	ID     string   `json:"id"`     // hexadecimal
	Digest string   `json:"digest"` // of its manifest
	Names  []string `json:"names"`  // "localhost/app:1"; may be empty
	Top    string   `json:"layer"`  // the newest layer; "" none

	BigDataNames []string `json:"big-data-names"`

	store *Store
	set   *Set
	chain []*layerAt // the oldest first
}

// A layerRecord is what a store says about a layer.
type layerRecord struct {
	ID     string `json:"id"`
	Parent string `json:"parent"`
	Digest string `json:"diff-digest"` // of the uncompressed archive
	Size   int64  `json:"diff-size"`   // of it, in bytes
}

// A layerAt is a layer and the store that it lies in.
type layerAt struct {
	layerRecord
	store *Store
}

// Open reads the lists of the stores at places. Places where there is nothing are passed over; the error wraps
// [ErrNoStore] when that holds for all. maps may be nil.
func Open(places []Place, maps func() Maps) (*Set, error) {
	set := &Set{open: &opener{maps: maps}}
	for _, p := range places {
		for _, driver := range []string{"overlay", "vfs"} {
			if p.Driver != "" && p.Driver != driver {
				continue
			}
			s, err := openStore(p.Root, driver)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			set.Stores = append(set.Stores, s)
		}
	}
	if len(set.Stores) == 0 {
		var roots []string
		for _, p := range places {
			roots = append(roots, p.Root)
		}
		return nil, fmt.Errorf("%w in %s", ErrNoStore, strings.Join(roots, ", "))
	}
	return set, nil
}

func openStore(root, driver string) (*Store, error) {
	s := &Store{root: root, driver: driver, layers: make(map[string]layerRecord)}
	if err := s.readList("images", "images", &s.images); err != nil {
		return nil, err
	}
	for _, name := range []string{"layers", "volatile-layers"} {
		var list []layerRecord
		if err := s.readList("layers", name, &list); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, l := range list {
			s.layers[l.ID] = l
		}
	}
	return s, nil
}

// readList reads a list of images or layers.
func (s *Store) readList(kind, name string, to any) error {
	path := filepath.Join(s.root, s.driver+"-"+kind, name+".json")
	b, err := readFile(path)
	if err == nil {
		if err = json.Unmarshal(b, to); err != nil {
			err = fmt.Errorf("%w: %s: %w", ErrCorrupt, path, err)
		}
	}
	return err
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMeta+1))
	if err == nil && len(b) > maxMeta {
		err = fmt.Errorf("%w: %s has more than %d bytes", ErrCorrupt, path, maxMeta)
	}
	return b, err
}

// Images returns what the stores have, in their order.
func (s *Set) Images() []*Image {
	var list []*Image
	for _, st := range s.Stores {
		for i := range st.images {
			img := st.images[i]
			img.store, img.set = st, s
			list = append(list, &img)
		}
	}
	return list
}

// Close ends what [Image.Layer] has started.
func (s *Set) Close() error { return s.open.close() }

// hexadecimal reports whether s can be the name of a layer or image, which becomes part of a path.
func hexadecimal(s string) bool {
	return s != "" && len(s) <= 128 && strings.Trim(s, "0123456789abcdef") == ""
}

// maxLayers bounds the layers of an image.
const maxLayers = 4096

// Resolve finds the image's layers. The error wraps [ErrCorrupt].
func (m *Image) Resolve() error {
	if !hexadecimal(m.ID) {
		return fmt.Errorf("%w: image %.90q", ErrCorrupt, m.ID)
	}
	for id := m.Top; id != ""; {
		l := m.set.layer(m.store, id)
		if l == nil || !hexadecimal(id) || len(m.chain) == maxLayers {
			return fmt.Errorf("%w: layer %.90q of image %.12s is missing", ErrCorrupt, id, m.ID)
		}
		m.chain = append([]*layerAt{l}, m.chain...)
		id = l.Parent
	}
	return nil
}

// layer looks for a layer, in its image's own store first.
func (s *Set) layer(first *Store, id string) *layerAt {
	for _, st := range append([]*Store{first}, s.Stores...) {
		if l, ok := st.layers[id]; ok {
			return &layerAt{l, st}
		}
	}
	return nil
}

// Layers returns the digests of the uncompressed layers, the oldest first. [Image.Resolve] has been called.
func (m *Image) Layers() []string {
	var list []string
	for _, l := range m.chain {
		list = append(list, l.Digest)
	}
	return list
}

// BigData returns what the store keeps with the image under a name: "manifest", or the digest of its configuration.
func (m *Image) BigData(name string) ([]byte, error) {
	file := name
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || name == "" {
		file = "=" + base64.StdEncoding.EncodeToString([]byte(name))
	}
	if strings.Contains(file, "/") { // which that alphabet has, and a file's name cannot have
		return nil, fmt.Errorf("%w: no file for %.90q", ErrCorrupt, name)
	}
	return readFile(filepath.Join(m.store.root, m.store.driver+"-images", m.ID, file))
}

// diffDir is the directory with the contents of a layer's files.
func (l *layerAt) diffDir() string {
	if l.store.driver == "vfs" { // which keeps whole trees
		return filepath.Join(l.store.root, "vfs", "dir", l.ID)
	}
	return filepath.Join(l.store.root, "overlay", l.ID, "diff")
}
