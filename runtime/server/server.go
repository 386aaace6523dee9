package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"coracle/runtime/cgroup"
	"coracle/runtime/mnt"
	"coracle/runtime/stage"
	"coracle/squash"
	"coracle/squash/fuse"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// A served image.
type served struct {
	image  Image
	file   *os.File
	reader *squash.Reader // nil: an ext file system
	dev    int            // its /dev/fuse, or -1
	tree   int            // what it has been extracted to, or -1
	mount  string         // where it is mounted
	cache  int64          // bytes for its decoded blocks

	mounter *exec.Cmd // of an ext file system: the process that serves it
}

// Main is the server's process: it serves until its images are unused and returns the exit status.
func Main(o userns.Outcome) int {
	ignoreSignals()
	var c Config
	err := o.Err()
	if err == nil {
		err = stage.Read(o.FD, o.Plan, &c)
	}
	if o.Small {
		c.UIDs, c.GIDs = 0, 0
	}
	var images []*served
	ns := -1
	if err == nil {
		images, ns, err = prepare(&c)
	}
	log := openLog(&c)
	if err != nil {
		answer(userns.ServerSock, err, nil)
		return 1
	}
	first := &held{sock: userns.ServerSock}
	all := clients{listener: -1, inotify: -1, work: -1, helds: []*held{first}, key: c.Key, uid: os.Getuid()}
	all.welcome = func(h *held) error {
		if h == first { // it has the namespace from the constructor already
			return handOut(h.sock, images)
		}
		return errors.Join(sendNamespace(h.sock, ns, o), handOut(h.sock, images))
	}
	if c.Key != "" {
		all.listener = userns.ServerListener
	}
	if _, err := unix.FcntlInt(userns.ServerPidfd, unix.F_GETFD, 0); err == nil {
		all.pidfds = append(all.pidfds, userns.ServerPidfd)
	}
	if err := all.serve(images, &c, log); err != nil {
		all.serveWaiting(err)
		return 1
	}
	return 0
}

// serve provides the images for as long as they are used. An error is one before anybody has got them.
func (c *clients) serve(images []*served, conf *Config, log *logger) error {
	var x *extraction
	if conf.Dir != "" {
		var err error
		if x, err = c.extract(images, conf); err != nil || x == nil {
			return err
		}
		defer x.remove()
	}
	if err := isolate(images, conf); err != nil {
		return err
	}
	var serving sync.WaitGroup
	for _, s := range images {
		serving.Go(func() {
			if err := s.serve(conf, log); err != nil {
				log.print(s.image.Path + ": " + err.Error())
			}
		})
	}
	c.serveWaiting(nil)
	c.wait()
	for _, s := range images {
		mnt.Detach(s.mount)
	}
	serving.Wait()
	if x != nil {
		awaitNobody(x.proc, x.users)
	}
	c.finish()
	return nil
}

// serve answers for an image until it is unmounted everywhere.
func (s *served) serve(conf *Config, log *logger) error {
	switch {
	case s.mounter != nil:
		return s.mounter.Wait()
	case s.tree >= 0: // the kernel does
		return nil
	}
	err := fuse.Serve(s.dev, s.reader, options(conf, s, log))
	unix.Close(s.dev) // whoever still waits for an answer gets an error
	return err
}

// ignoreSignals: a job that is told to end may take its time, and needs its files meanwhile.
func ignoreSignals() {
	var all []os.Signal
	for sig := syscall.Signal(1); sig < 32; sig++ {
		switch sig {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG,
			syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGCONT:
		default:
			all = append(all, sig)
		}
	}
	signal.Ignore(all...)
}

// prepare opens the images while the host's files can be seen.
func prepare(c *Config) ([]*served, int, error) {
	ns, err := unix.Open("/proc/self/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("open /proc/self/ns/user: %w", err)
	}
	memory := make(chan int64, 1)
	go func() { memory <- cgroup.Memory("") }()
	var images []*served
	for _, im := range c.Images {
		s, err := c.open(im)
		if err != nil {
			return nil, -1, err
		}
		images = append(images, s)
	}
	cache := cacheBytes(<-memory, len(images))
	for _, s := range images {
		s.cache = cache
	}
	return images, ns, nil
}

// errChanged: the file is not the one that the launcher looked at.
var errChanged = errors.New("the image was replaced or changed while it was being started")

// open opens an image, and a /dev/fuse for it where it is to be mounted.
func (c *Config) open(im Image) (*served, error) {
	f, err := openFile(im)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	if st.Dev != im.Device || st.Ino != im.Inode || st.Size != im.Length || st.Mtim.Nano() != im.ModTime {
		return nil, errChanged
	}
	s := &served{image: im, file: f, dev: -1, tree: -1}
	if im.Ext {
		return s, s.lock()
	}
	if s.reader, err = squash.Open(io.NewSectionReader(f, im.Offset, im.Size), im.Size, nil); err != nil {
		return nil, err
	}
	if c.Dir != "" {
		return s, nil
	}
	if s.dev, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open /dev/fuse: %w", err)
	}
	return s, nil
}

// openFile opens the image's file, or takes the one that came along with the configuration.
func openFile(im Image) (*os.File, error) {
	if !im.Sent {
		return os.Open(im.Path)
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, oobn, _, _, err := unix.Recvmsg(userns.ServerSock, make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receive the image: %w", err)
	}
	fd := onlyDescriptor(oob[:oobn])
	if fd < 0 {
		return nil, fmt.Errorf("receive the image: %w", unix.EBADF)
	}
	return os.NewFile(uintptr(fd), im.Path), nil
}

// isolate leaves the host's tree, so that the server pins nothing of it, with the images.
func isolate(images []*served, c *Config) error {
	base, err := mnt.Base("mode=0755,size=1m", nil)
	if err != nil {
		return err
	}
	for i, s := range images {
		s.mount = filepath.Join(base, strconv.Itoa(i))
		if err := os.Mkdir(s.mount, 0o755); err != nil {
			return err
		}
		if err := s.appear(c); err != nil {
			return err
		}
		s.mount = "/" + strconv.Itoa(i)
	}
	return mnt.Enter(base)
}

// appear makes an image appear at s.mount.
func (s *served) appear(c *Config) error {
	switch {
	case s.image.Ext:
		return s.mountExt(c)
	case s.tree >= 0:
		return s.bindTree(c)
	}
	data := fmt.Sprintf("fd=%d,rootmode=40755,user_id=%d,group_id=%d", s.dev, c.Uid, c.Gid)
	if c.many() {
		data += ",allow_other,default_permissions" // for all the ids inside; nobody else gets in
	}
	return mnt.NewAt("coracle", "fuse.coracle", s.mount, c.imageAttr(), data)
}

// imageAttr are the restrictions on an image.
func (c *Config) imageAttr() mnt.Attr {
	return mnt.Attr{ReadOnly: true, NoSuid: !c.many(), NoDev: true}
}

func options(c *Config, s *served, log *logger) *fuse.Options {
	return &fuse.Options{
		CacheBytes: s.cache,
		UID:        within(c.UIDs, c.Uid),
		GID:        within(c.GIDs, c.Gid),
		Log:        func(line string) { log.print(s.image.Path + ": " + line) },
	}
}

// within reports the image's owners as far as the id map reaches, and own for all others.
func within(mapped, own int) func(uint32) uint32 {
	return func(id uint32) uint32 {
		if int64(id) < int64(mapped) {
			return id
		}
		return uint32(own)
	}
}

// sendNamespace is what the constructor does for the first client.
func sendNamespace(sock, ns int, o userns.Outcome) error {
	reply := userns.EncodeReply(0, "")
	if o.Small {
		reply = userns.EncodeSmall(o.Step)
	}
	return unix.Sendmsg(sock, reply, unix.UnixRights(ns), nil, unix.MSG_NOSIGNAL)
}

// handOut sends a detached clone of each mount. The clones are closed at once: one that
// stayed open would keep the server alive for ever.
func handOut(sock int, images []*served) error {
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for _, s := range images {
		fd, err := mnt.Clone(s.mount)
		if err != nil {
			answer(sock, fmt.Errorf("clone the image's mount: %w", err), nil)
			return err
		}
		fds = append(fds, fd)
	}
	return answer(sock, nil, fds)
}

// answer sends a reply: a failure, or descriptors.
func answer(sock int, failure error, fds []int) error {
	if failure != nil {
		errno := syscall.EIO
		errors.As(failure, &errno)
		return unix.Sendmsg(sock, userns.EncodeReply(errno, failure.Error()), nil, nil, unix.MSG_NOSIGNAL)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(sock, userns.EncodeReply(0, ""), rights, nil, unix.MSG_NOSIGNAL)
}
