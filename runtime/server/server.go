package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	goruntime "runtime"
	"slices"
	"sync"
	"syscall"

	"coracle/runtime/cgroup"
	"coracle/runtime/mnt"
	"coracle/runtime/relay"
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
	server *fuse.Server   // where it is to be mounted; else nil
	dev    int            // its /dev/fuse, or -1
	tree   int            // what it has been extracted to, or -1
	mount  string         // where it is mounted
	cache  int64          // bytes for its decoded blocks

	mounter *exec.Cmd // of an ext file system: the process that serves it
	below   int       // of one that is written to: its root as that process shows it, or -1
	relay   *relay.Relay
}

// Main is the server's process: it serves until its images are unused and returns the exit status. plan plans for launches that find it running.
func Main(o userns.Outcome, plan Planner) int {
	if o.Role == userns.Standby {
		goruntime.GOMAXPROCS(goruntime.NumCPU()) // until now it was one: the Go runtime then starts fewer threads
	}
	userns.Mark("Go runtime")
	ignoreSignals()
	var c Config
	ends := inherited() // before anything else gets their numbers
	err := o.Err()
	if err == nil {
		if o.Role == userns.Standby {
			ends, err = c.await(userns.ServerSock, plan)
		} else {
			err = stage.Read(o.FD, o.Plan, &c)
		}
	}
	if err == errDropped {
		return 0
	}
	if o.Role == userns.Serve && c.Key != "" && len(c.Images) > 0 {
		userns.Claim(c.Images[0].Device, c.Images[0].Inode) // for as long as the process lives
	}
	if o.Small {
		c.UIDs, c.GIDs = 0, 0
	}
	var images []*served
	ns := -1
	log := &logger{path: c.Log}
	if err == nil {
		images, ns, err = prepare(&c, log)
	}
	userns.Mark("images opened")
	for _, s := range images {
		if err == nil && s.dev >= 0 && !s.image.Ext && s.server == nil {
			s.server, err = fuse.New(s.reader, options(&c, s, log))
		}
	}
	first := &held{sock: userns.ServerSock}
	all := clients{listener: -1, inotify: -1, work: -1, helds: []*held{first}, key: c.Key, uid: os.Getuid()}
	all.bell = -1
	if err != nil {
		ends.release()
		all.dismiss(err)
		return 1
	}
	all.welcome = func(h *held) error {
		if h == first { // it has the namespace from the constructor already
			return handOut(h.sock, mounts(images), marks(&c))
		}
		return errors.Join(sendNamespace(h.sock, ns, o), handOut(h.sock, mounts(images), ""))
	}
	if c.Key != "" {
		all.listener = ends.listener
	}
	if ends.pidfd >= 0 {
		all.pidfds = append(all.pidfds, ends.pidfd)
	}
	calls := callers{listener: -1, empty: -1, plan: plan, clients: &all, send: func(sock int, root string) error {
		list := mounts(images)
		list[0] = root
		return errors.Join(sendNamespace(sock, ns, o), handOut(sock, list, ""))
	}}
	if c.Key != "" && c.Dir == "" && plan != nil {
		calls.prepare(&c.Images[0])
	}
	if err := all.serve(images, &c, log, &calls, ends.release); err != nil {
		all.dismiss(err)
		return 1
	}
	return 0
}

// ends are the descriptors by which a server knows its clients; -1: there is none.
type ends struct {
	pidfd    int // of the first client
	listener int // where further ones connect

	// release lets a launch go on that has called its standby. Until then it waits: the kernel has one lock for mounts, which both
	// sides would take in turns.
	release func()
}

func noEnds() ends { return ends{-1, -1, func() {}} }

// inherited are those that the constructor has arranged.
func inherited() ends {
	e := ends{userns.ServerPidfd, userns.ServerListener, func() {}}
	for _, fd := range []*int{&e.pidfd, &e.listener} {
		if _, err := unix.FcntlInt(uintptr(*fd), unix.F_GETFD, 0); err != nil {
			*fd = -1
		}
	}
	return e
}

// waiting is how many threads mostly wait in system calls: the leader of the image's answers, and the one that looks after the clients. The
// Go runtime takes them for busy at first, and others would wait for it to find out.
const waiting = 2

// serve provides the images for as long as they are used. An error is one before anybody has got them.
func (c *clients) serve(images []*served, conf *Config, log *logger, calls *callers, release func()) error {
	var x *extraction
	if conf.Dir != "" {
		var err error
		if x, err = c.extract(images, conf); err != nil || x == nil {
			return err
		}
		defer x.remove()
	}
	calls.procs = goruntime.GOMAXPROCS(0)
	goruntime.GOMAXPROCS(calls.procs + waiting)
	base, err := mount(images, conf)
	if err != nil {
		release()
		return err
	}
	var serving sync.WaitGroup
	for _, s := range images {
		if s.server != nil {
			s.server.Begin(s.dev)
		}
		serving.Go(func() {
			if err := s.serve(log); err != nil {
				log.print(s.image.Path + ": " + err.Error())
			}
		})
	}
	release()
	c.serveWaiting(nil)
	log.open()
	letClientPass(c.listener)
	if err := isolate(images, base); err != nil {
		log.print("leave the host's tree: " + err.Error())
		return err // whoever waits for an answer gets an error
	}
	calls.start(mounts(images), conf.imageAttr())
	c.wait()
	calls.layers.detach()
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
func (s *served) serve(log *logger) error {
	switch {
	case s.below >= 0:
		return s.serveWritable(log)
	case s.mounter != nil:
		return s.mounter.Wait()
	case s.tree >= 0: // the kernel does
		return nil
	}
	err := s.server.Serve(s.dev)
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

// findMemory returns what finds out how much memory the job may use, in bytes.
func findMemory() func() int64 {
	return sync.OnceValue(func() int64 { return cgroup.Memory("") })
}

// prepare opens the images while the host's files can be seen.
func prepare(c *Config, log *logger) ([]*served, int, error) {
	ns, err := unix.Open("/proc/self/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("open /proc/self/ns/user: %w", err)
	}
	memory := c.memory
	if memory == nil {
		memory = findMemory()
	}
	if s := c.foreseen.take(c, log); s != nil {
		return []*served{s}, ns, nil
	}
	var images []*served
	for _, im := range c.Images {
		s, err := c.open(im)
		if err != nil {
			return nil, -1, err
		}
		images = append(images, s)
	}
	cache := cacheBytes(memory(), len(images))
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
	if st.Dev != im.Device || st.Ino != im.Inode || !c.changing(im) && (st.Size != im.Length || st.Mtim.Nano() != im.ModTime) {
		return nil, errChanged
	}
	s := &served{image: im, file: f, dev: -1, tree: -1, below: -1}
	if im.Ext {
		return s, c.openExt(s)
	}
	if s.reader, err = squash.Open(io.NewSectionReader(f, im.Offset, im.Size), im.Size, nil); err != nil {
		return nil, err
	}
	if c.Dir != "" {
		return s, nil
	}
	return s, s.openFuse()
}

// changing tells whether the file of an image may change: there is an ext file system in it, which somebody may just have written to.
func (c *Config) changing(im Image) bool {
	return slices.ContainsFunc(c.Images, func(other Image) bool {
		return other.Ext && other.Device == im.Device && other.Inode == im.Inode
	})
}

// openFuse opens a /dev/fuse for the image.
func (s *served) openFuse() (err error) {
	if s.dev, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open /dev/fuse: %w", err)
	}
	return nil
}

// openFile opens the image's file, or takes the one that came along with the configuration.
func openFile(im Image) (*os.File, error) {
	if !im.Sent {
		fd, err := unix.Open(im.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: im.Path, Err: err}
		}
		return os.NewFile(uintptr(fd), im.Path), nil // os.Open would start the Go runtime's poller for it
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, oobn, err := receive(userns.ServerSock, make([]byte, len(sentFile)), oob, 0)
	if err != nil {
		return nil, fmt.Errorf("receive the image: %w", err)
	}
	fd := onlyDescriptor(oob[:oobn])
	if fd < 0 {
		return nil, fmt.Errorf("receive the image: %w", unix.EBADF)
	}
	return os.NewFile(uintptr(fd), im.Path), nil
}

func options(c *Config, s *served, log *logger) *fuse.Options {
	return &fuse.Options{
		CacheBytes: s.cache,
		UID:        within(c.UIDs, c.Uid),
		GID:        within(c.GIDs, c.Gid),
		Log:        func(line string) { log.print(s.image.Path + ": " + line) },

		Programs: s.image.Programs,
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

// mounts is where the images are mounted.
func mounts(images []*served) (list []string) {
	for _, s := range images {
		list = append(list, s.mount)
	}
	return list
}

// handOut sends a detached clone of each mount, and text with them. The clones are closed at once: one that
// stayed open would keep the server alive for ever.
func handOut(sock int, mounts []string, text string) error {
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for _, at := range mounts {
		fd, err := mnt.Clone(at)
		if err != nil {
			answer(sock, fmt.Errorf("clone the image's mount: %w", err), nil, "")
			return err
		}
		fds = append(fds, fd)
	}
	return answer(sock, nil, fds, text)
}

// marks is what the server has to say of its start, where that is wanted.
func marks(c *Config) string {
	if !c.Timing {
		return ""
	}
	userns.Mark("images mounted")
	return userns.EncodeMarks(userns.TextLen)
}

// answer sends a reply: a failure, or descriptors.
func answer(sock int, failure error, fds []int, text string) error {
	if failure != nil {
		errno := syscall.EIO
		errors.As(failure, &errno)
		return unix.Sendmsg(sock, userns.EncodeReply(errno, failure.Error()), nil, nil, unix.MSG_NOSIGNAL)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(sock, userns.EncodeReply(0, text), rights, nil, unix.MSG_NOSIGNAL)
}
