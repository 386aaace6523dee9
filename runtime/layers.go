package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"coracle/bind"
	"coracle/runtime/mnt"
	"coracle/runtime/server"

	"golang.org/x/sys/unix"
)

// A LayerError is an overlay that the kernel did not mount.
type LayerError struct {
	Upper Upper
	Err   error
}

func (e *LayerError) Error() string {
	return fmt.Sprintf("mount the overlay (%s): %v", e.Upper.Why, e.Err)
}

// Unwrap returns the kernel's error.
func (e *LayerError) Unwrap() error { return e.Err }

// openLayers opens the directories of the stack on the host.
func (t *tree) openLayers(p *Plan) error {
	t.layers = make([]mnt.Source, len(p.Layers))
	for i, l := range p.Layers {
		t.layers[i] = mnt.NoSource
		if l.Image != 0 {
			continue
		}
		s, err := mnt.Open(l.Path, false)
		if err != nil {
			return fmt.Errorf("%s %s: %w", l.Why, l.Path, err)
		}
		t.layers[i] = s
	}
	if p.Upper.onDisk() {
		s, err := mnt.Open(p.Upper.dir(), false)
		if err != nil {
			return fmt.Errorf("%s %s: %w", p.Upper.Why, p.Upper.dir(), err)
		}
		t.upper = s
	}
	return nil
}

// placeLayers mounts the image with everything that lies over it.
func (t *tree) placeLayers(p *Plan) error {
	var lower []string
	writable := p.Upper.Kind != ""
	if len(p.Layout.Points) > 0 {
		if err := makePoints(filepath.Join(t.base, "points"), &p.Layout); err != nil {
			return fmt.Errorf("make mount points: %w", err)
		}
		lower = append(lower, filepath.Join(t.base, "points"))
	}
	for i, l := range p.Layers {
		at, err := t.placeLayer(i, l)
		if err != nil {
			return fmt.Errorf("%s %s: %w", l.Why, l.Path, err)
		}
		lower = append(lower, at)
	}
	lower = append(lower, filepath.Join(t.base, "image"))
	if writable {
		if err := t.placeUpper(p); err != nil {
			return fmt.Errorf("%s: %w", p.Upper.Why, err)
		}
	}
	if err := t.mountOverlay(p, lower); err != nil {
		return &LayerError{p.Upper, err}
	}
	if err := t.reopenRoot(); err != nil {
		return err
	}
	if writable {
		return t.pointsInUpper(p)
	}
	return nil
}

// placeLayer makes a layer appear in a directory of the session.
func (t *tree) placeLayer(i int, l Layer) (at string, err error) {
	at = filepath.Join(t.base, "layer"+strconv.Itoa(i))
	if err := os.Mkdir(at, 0o755); err != nil {
		return "", err
	}
	dir, err := openPath(at)
	if err != nil {
		return "", err
	}
	defer unix.Close(dir)
	if l.Image != 0 {
		if l.Image >= len(t.images) {
			return "", fmt.Errorf("there is no image %d", l.Image)
		}
		err := mnt.Attach(t.images[l.Image], dir)
		if err == nil && l.Sub != "" {
			at = filepath.Join(at, l.Sub)
			err = realDirectory(at)
		}
		return at, err
	}
	defer t.layers[i].Close()
	return at, t.layers[i].Bind(dir, t.imageAttr())
}

// placeUpper provides base/upper with the directories upper and work in it.
func (t *tree) placeUpper(p *Plan) error {
	at := filepath.Join(t.base, "upper")
	if p.Upper.onDisk() {
		dir, err := openPath(at)
		if err != nil {
			return err
		}
		defer unix.Close(dir)
		defer t.upper.Close()
		return t.upper.Bind(dir, mnt.Attr{NoDev: true, NoSuid: true})
	}
	if p.Upper.Kind == UpperImage {
		return t.attachUpper(p.Upper.Image, at)
	}
	data := "mode=0700"
	if p.Upper.Size > 0 {
		data += ",size=" + strconv.FormatInt(p.Upper.Size, 10)
	}
	if err := mnt.NewAt("tmpfs", "tmpfs", at, mnt.Attr{NoSuid: true, NoDev: true}, data); err != nil {
		return err
	}
	return makeUpper(at)
}

// attachUpper provides an image's file system, with the directories upper and work in it.
func (t *tree) attachUpper(image int, at string) error {
	if image >= len(t.images) {
		return fmt.Errorf("there is no image %d", image)
	}
	dir, err := openPath(at)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := mnt.Attach(t.images[image], dir); err != nil {
		return err
	}
	// Before somebody looks, the kernel takes the root for root's, who may be nobody here.
	if _, err := os.Stat(at); err != nil {
		return err
	}
	if err := makeUpper(at); err != nil {
		return err
	}
	return errors.Join(realDirectory(at+"/upper"), realDirectory(at+"/work"))
}

// realDirectory returns an error if path, in a tree that somebody else may have made, is not a directory itself.
func realDirectory(path string) error {
	fi, err := os.Lstat(path)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s: %w", filepath.Base(path), unix.ENOTDIR)
	}
	return err
}

// makeUpper makes the directories that overlayfs wants in dir, unless they are there.
func makeUpper(dir string) error {
	for _, name := range []string{"upper", "work"} {
		switch err := os.Mkdir(filepath.Join(dir, name), 0o755); {
		case err == nil:
			if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil { // whatever the umask
				return err
			}
		case !errors.Is(err, os.ErrExist):
			return err
		}
	}
	return nil
}

// mountOverlay mounts the stack on base/root. A layer that is gone with the last process need not be synced
// to disk (volatile, Linux 5.10). Only one that starts empty can do without attributes of its own (userxattr, 5.11).
func (t *tree) mountOverlay(p *Plan, lower []string) error {
	data := "lowerdir=" + strings.Join(lower, ":")
	attr := t.imageAttr()
	if p.Upper.Kind != "" {
		attr.ReadOnly = false
		up := filepath.Join(t.base, "upper")
		data += ",upperdir=" + up + "/upper,workdir=" + up + "/work"
	}
	tries := []string{",userxattr"}
	if p.Upper.Kind == UpperTmpfs || p.Upper.Kind == UpperScratch {
		tries = []string{",userxattr,volatile", ",userxattr"}
		if len(p.Layers) == 0 {
			tries = append(tries, "")
		}
	}
	var err error
	for _, options := range tries {
		err = mnt.NewAt("overlay", "overlay", filepath.Join(t.base, "root"), attr, data+options)
		if !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	return err
}

// pointsInUpper makes the mount points in the container itself that the layer with the missing ones
// could not provide: what was removed in the writable layer stays hidden. (Always to make them so would fail in
// directories of a sandbox that belong to somebody else.)
func (t *tree) pointsInUpper(p *Plan) error {
	for _, pt := range p.Layout.Points {
		if fd, err := openIn(t.root, pt.Path); err == nil {
			unix.Close(fd)
			continue
		}
		op := bind.Op{Type: bind.Mkdir, Target: pt.Path, Perm: pt.Perm}
		if pt.Kind != bind.Directory {
			op.Type = bind.Mkfile
		}
		if err := t.makeEntry(op); err != nil {
			return fmt.Errorf("make the mount point %s: %w", pt.Path, err)
		}
	}
	return nil
}

// leaveServer ends the conversation with the image server. It is told what to wait for before it gives
// up a writable layer on disk.
func (t *tree) leaveServer(p *Plan, sock int) error {
	if sock < 0 {
		return nil
	}
	defer unix.Close(sock)
	if !p.Upper.onDisk() {
		return nil
	}
	return server.Watch(sock, t.root)
}
