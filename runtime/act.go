package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"coracle/bind"
	"coracle/runtime/mnt"
	"coracle/runtime/server"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// A tree is a container's tree under construction. It stands in a tmpfs on a
// directory of the private mount namespace:
//
//	base/root    the container's root
//	base/image   the image, where something lies over it
//	base/points  the layer with the missing mount points
//	base/files   generated files
//	base/layerN  the layers over the image, 0 the topmost
//	base/upper   the writable layer, with the directories upper and work in it
type tree struct {
	base    string
	root    int // O_PATH descriptor of base/root as it is now
	images  []int
	sources []mnt.Source // by operation; those of bind.Bind only
	opened  []bool
	layers  []mnt.Source // by layer; those of directories only
	upper   mnt.Source   // of a writable layer on disk
	files   int          // how many generated files there are
	suid    bool         // setuid bits of the image count

	lacking map[string]error // mount points that could not be made in a sandbox, and why
}

// An opError is a mount operation that failed.
type opError struct {
	Op  bind.Op
	Err error
}

func (e *opError) Error() string {
	if e.Op.Source != "" {
		return fmt.Sprintf("mount %s on %s (%s): %v", e.Op.Source, e.Op.Target, e.Op.Why, e.Err)
	}
	return fmt.Sprintf("mount %s on %s (%s): %v", e.Op.Type, e.Op.Target, e.Op.Why, e.Err)
}

func (e *opError) Unwrap() error { return e.Err }

// buildTree makes the container's tree and enters it. The images arrive on sock; what can be done
// without them is done while the server starts.
func buildTree(p *Plan, o userns.Outcome) error {
	sock := o.Sock
	t := &tree{root: -1, upper: mnt.NoSource, suid: p.Fakeroot == FakerootIDs}
	// Everything on the host is opened while nothing hides it.
	if err := t.openSources(p); err != nil {
		return err
	}
	sandbox, err := t.makeBase(p)
	if err != nil {
		return err
	}
	if err := t.receiveImages(p, o); err != nil {
		p.Upper.abandon()
		return err
	}
	if err := t.placeRoot(p, sandbox); err != nil {
		return err
	}
	if err := t.leaveServer(p, sock); err != nil {
		return err
	}
	for i, op := range p.Layout.Ops {
		err := t.do(op, i)
		if errors.Is(err, unix.EPERM) && op.Type == bind.Proc && t.opened[i] {
			// A container around us that covers parts of its /proc may have no other.
			warn(p, "a container around this one hides parts of /proc: the process ids in it are those outside")
			err = t.bindOuter(op, i)
		}
		if err != nil && !op.Optional {
			if why := t.lacking[op.Target]; why != nil && errors.Is(err, unix.ENOENT) {
				err = fmt.Errorf("make the mount point: %w", why)
			}
			return &opError{op, err}
		}
	}
	if err := t.close(); err != nil {
		return err
	}
	return mnt.Enter(filepath.Join(t.base, "root"))
}

func (t *tree) openSources(p *Plan) error {
	for _, pt := range p.Layout.Make {
		if err := makePoint(pt.Path, pt); err != nil {
			return fmt.Errorf("make %s on the host: %w", pt.Path, err)
		}
	}
	t.sources = make([]mnt.Source, len(p.Layout.Ops))
	t.opened = make([]bool, len(p.Layout.Ops))
	if err := t.openLayers(p); err != nil {
		return err
	}
	for i, op := range p.Layout.Ops {
		source := op.Source
		switch op.Type {
		case bind.Bind:
		case bind.Proc: // for where no new one may be mounted
			source = "/proc"
		default:
			continue
		}
		s, err := mnt.Open(source, !op.NoRec)
		if err != nil && !op.Optional && op.Type == bind.Bind {
			return &opError{op, err}
		}
		t.sources[i], t.opened[i] = s, err == nil
	}
	return nil
}

// receiveImages waits for the mounts. Image 0 is the root, if that is in a file.
func (t *tree) receiveImages(p *Plan, o userns.Outcome) error {
	if o.Sock < 0 {
		return nil
	}
	if o.Image >= 0 { // the constructor has got it
		t.images = []int{o.Image}
		return nil
	}
	count := len(p.Images)
	if p.Root.served() {
		count++
	}
	images, err := server.Receive(o.Sock, count)
	if errors.Is(err, unix.EUCLEAN) && p.Upper.Kind == UpperImage {
		return &UncleanError{p.Upper.Path, p.Images[p.Upper.Image-1].Offset}
	}
	if err != nil {
		return err
	}
	if !p.Root.served() {
		images = append([]int{-1}, images...)
	}
	t.images = images
	return nil
}

func (t *tree) close() error {
	for i, s := range t.sources {
		if t.opened[i] {
			s.Close()
		}
	}
	for _, fd := range t.images {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	return unix.Close(t.root)
}

// do carries out one operation.
func (t *tree) do(op bind.Op, i int) error {
	switch op.Type {
	case bind.Mkdir, bind.Mkfile, bind.Link:
		return t.makeEntry(op)
	case bind.Data:
		return t.bindData(op)
	}
	if op.Type == bind.Bind && !t.opened[i] {
		return unix.ENOENT
	}
	target, err := openIn(t.root, op.Target)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	switch op.Type {
	case bind.Bind:
		err = t.sources[i].Bind(target, opAttr(op))
	case bind.Image:
		err = t.bindImage(op, target, opAttr(op))
	default:
		fs, ok := newFS(op)
		if !ok {
			return fmt.Errorf("unknown operation %q", op.Type)
		}
		err = mnt.New(fs.kind, target, fs.attr, fs.data)
	}
	if err == nil && op.Target == "/" {
		return t.reopenRoot()
	}
	return err
}

// bindOuter binds what an operation has as its source where it could not mount something new.
func (t *tree) bindOuter(op bind.Op, i int) error {
	target, err := openIn(t.root, op.Target)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	return t.sources[i].Bind(target, opAttr(op))
}

func tmpfsData(op bind.Op) string {
	data := "mode=" + strconv.FormatUint(uint64(perm(op.Perm, 0o755)), 8)
	if op.Size > 0 {
		data += ",size=" + strconv.FormatInt(op.Size, 10)
	}
	return data
}

// perm returns p, or the default where p says nothing.
func perm(p, def uint32) uint32 {
	if p == 0 {
		return def
	}
	return p
}

// makeEntry makes a directory, an empty file or a link inside a tmpfs of the container.
func (t *tree) makeEntry(op bind.Op) error {
	dir, err := openIn(t.root, filepath.Dir(op.Target))
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	name := filepath.Base(op.Target)
	switch op.Type {
	case bind.Mkdir:
		if err = unix.Mkdirat(dir, name, 0o700); err == nil {
			err = unix.Fchmodat(dir, name, perm(op.Perm, 0o755), 0)
		}
	case bind.Link:
		err = unix.Symlinkat(op.Source, dir, name)
	default:
		err = writeAt(dir, name, nil, perm(op.Perm, 0o644))
	}
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

func writeAt(dir int, name string, content []byte, mode uint32) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(content)
	return errors.Join(err, unix.Fchmod(fd, mode), f.Close())
}

// bindData writes a generated file into the session's tmpfs and binds it onto its target.
func (t *tree) bindData(op bind.Op) error {
	t.files++
	path := filepath.Join(t.base, "files", strconv.Itoa(t.files))
	if err := writeAt(unix.AT_FDCWD, path, op.Content, perm(op.Perm, 0o644)); err != nil {
		return err
	}
	source, err := openPath(path)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	target, err := openIn(t.root, op.Target)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	return mnt.Bind(source, target, false, dataAttr(op))
}

// bindImage attaches a further image, or binds the wanted part of it.
func (t *tree) bindImage(op bind.Op, target int, attr mnt.Attr) error {
	if op.Image < 1 || op.Image >= len(t.images) {
		return fmt.Errorf("there is no image %d", op.Image)
	}
	at := filepath.Join(t.base, "image"+strconv.Itoa(op.Image))
	if err := os.Mkdir(at, 0o755); err == nil {
		dir, err := openPath(at)
		if err != nil {
			return err
		}
		err = mnt.Attach(t.images[op.Image], dir)
		unix.Close(dir)
		if err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrExist) {
		return err
	}
	dir, err := openPath(at)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	source, err := openIn(dir, op.Source)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	return mnt.Bind(source, target, true, attr)
}
