package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"coracle/bind"
	"coracle/runtime/mnt"

	"golang.org/x/sys/unix"
)

// imageAttr are the restrictions on the image below everything: nothing in it can be changed, no device
// in it works, and no setuid bit counts, but where there are other ids than the caller's: those are all that
// such a bit gives away.
func (t *tree) imageAttr() mnt.Attr {
	return mnt.Attr{ReadOnly: true, NoDev: true, NoSuid: !t.suid}
}

// makeBase mounts the session's tmpfs and returns the sandbox that is to be the root, if one is.
func (t *tree) makeBase(p *Plan) (sandbox *mnt.Source, err error) {
	if p.Root.Kind == Sandbox {
		s, err := mnt.Open(p.Root.Path, true)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", p.Root.Path, err)
		}
		sandbox = &s
	}
	t.base, err = mnt.Base("mode=0755", p.hostPaths())
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"root", "image", "points", "files", "upper"} {
		if err := os.Mkdir(filepath.Join(t.base, dir), 0o755); err != nil {
			return nil, err
		}
	}
	return sandbox, nil
}

// placeRoot mounts the root directory.
func (t *tree) placeRoot(p *Plan, sandbox *mnt.Source) error {
	at := "root"
	if (len(p.Layout.Points) > 0 || p.layered()) && !p.Writable {
		at = "image"
	}
	attr := t.imageAttr()
	attr.ReadOnly = !p.Writable
	if err := t.placeImage(filepath.Join(t.base, at), sandbox, attr); err != nil {
		return err
	}
	if p.layered() {
		return t.placeLayers(p)
	}
	if p.Writable {
		if err := t.reopenRoot(); err != nil {
			return err
		}
		t.lacking = makeInSandbox(t.root, p.Layout.Points)
		return nil
	}
	if len(p.Layout.Points) > 0 {
		if err := t.providePoints(p); err != nil {
			return fmt.Errorf("make mount points: %w", err)
		}
	}
	return t.reopenRoot()
}

// hostPaths are the places on the host that the plan looks at.
func (p *Plan) hostPaths() []string {
	paths := []string{p.Root.Path}
	for _, l := range p.Layers {
		paths = append(paths, l.Path)
	}
	if p.Upper.onDisk() {
		paths = append(paths, p.Upper.dir())
	}
	for _, op := range p.Layout.Ops {
		if op.Type == bind.Bind {
			paths = append(paths, op.Source)
		}
	}
	return paths
}

// reopenRoot looks at base/root anew, after something was mounted on it.
func (t *tree) reopenRoot() error {
	fd, err := openPath(filepath.Join(t.base, "root"))
	if err != nil {
		return err
	}
	if t.root >= 0 {
		unix.Close(t.root)
	}
	t.root = fd
	return nil
}

func (t *tree) placeImage(at string, sandbox *mnt.Source, attr mnt.Attr) error {
	dir, err := openPath(at)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if sandbox != nil {
		defer sandbox.Close()
		if err := sandbox.Bind(dir, attr); err != nil {
			return fmt.Errorf("bind the image: %w", err)
		}
		return nil
	}
	if len(t.images) == 0 {
		return errors.New("the image server sent no image")
	}
	if err := mnt.Attach(t.images[0], dir); err != nil {
		return fmt.Errorf("attach the image: %w", err)
	}
	return nil
}

// providePoints lays the missing mount points over the image: a read-only overlay, or,
// where the kernel or the plan does not want one, a patchwork of binds.
func (t *tree) providePoints(p *Plan) error {
	image, err := openPath(filepath.Join(t.base, "image"))
	if err != nil {
		return err
	}
	defer unix.Close(image)
	if !p.Underlay {
		err := t.overlayPoints(&p.Layout)
		if err == nil || !overlayRefused(err) {
			return err
		}
	}
	return t.underlayPoints(&p.Layout, image)
}

// overlayRefused tells whether err means that this kernel does not let us mount an overlay.
func overlayRefused(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)
}

// overlayPoints makes a layer of the points and the directories that they stand in. What it says of
// those directories is what the container sees, so they have the image's permission bits.
func (t *tree) overlayPoints(l *bind.Layout) error {
	if err := makePoints(filepath.Join(t.base, "points"), l); err != nil {
		return err
	}
	data := "lowerdir=" + filepath.Join(t.base, "points") + ":" + filepath.Join(t.base, "image")
	return mnt.NewAt("overlay", "overlay", filepath.Join(t.base, "root"), t.imageAttr(), data)
}

// makePoints makes the layer itself in the empty directory dir.
func makePoints(dir string, l *bind.Layout) error {
	for _, pt := range l.Parents {
		if pt.Path == "/" {
			if err := unix.Chmod(dir, perm(pt.Perm, 0o755)); err != nil {
				return err
			}
		} else if err := makePoint(dir+pt.Path, pt); err != nil {
			return err
		}
	}
	for _, pt := range l.Points {
		if err := makePoint(dir+pt.Path, pt); err != nil {
			return err
		}
	}
	return nil
}

// makePoint makes an empty directory or file at path.
func makePoint(path string, pt bind.Point) error {
	var err error
	if pt.Kind == bind.Directory {
		if err = os.Mkdir(path, 0o700); err == nil {
			err = unix.Chmod(path, perm(pt.Perm, 0o755))
		}
	} else {
		err = writeAt(unix.AT_FDCWD, path, nil, perm(pt.Perm, 0o644))
	}
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
