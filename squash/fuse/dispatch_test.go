package fuse

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"coracle/squash"
)

// Sizes are those of the C structures on every 64-bit and 32-bit system.
func TestWireSizes(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want uintptr
	}{
		{"fuse_in_header", unsafe.Sizeof(inHeader{}), inHeaderSize},
		{"fuse_out_header", unsafe.Sizeof(outHeader{}), outHeaderSize},
		{"fuse_init_out", unsafe.Sizeof(initOut{}), 64},
		{"fuse_attr", unsafe.Sizeof(attr{}), 88},
		{"fuse_attr_out", unsafe.Sizeof(attrOut{}), 104},
		{"fuse_entry_out", unsafe.Sizeof(entryOut{}), entryOutSize},
		{"fuse_dirent", unsafe.Sizeof(dirent{}), direntSize},
		{"fuse_read_in", unsafe.Sizeof(readIn{}), 40},
		{"fuse_open_out", unsafe.Sizeof(openOut{}), 16},
		{"fuse_getxattr_in", unsafe.Sizeof(getxattrIn{}), 8},
		{"fuse_kstatfs", unsafe.Sizeof(statfsOut{}), 80},
		{"fuse_lseek_in", unsafe.Sizeof(lseekIn{}), 24},
	} {
		if tt.got != tt.want {
			t.Errorf("sizeof(%s) = %d, want %d", tt.name, tt.got, tt.want)
		}
	}
}

// smallImage has a file of three blocks and a tail, a directory and a link.
func smallImage(t testing.TB) *squash.Reader {
	src := t.TempDir()
	must(t, os.WriteFile(filepath.Join(src, "file"), pattern(3*4096+100, 1), 0o644))
	must(t, os.Mkdir(filepath.Join(src, "dir"), 0o755))
	for i := range 100 {
		must(t, os.WriteFile(filepath.Join(src, "dir", fmt.Sprintf("entry%d", i)), nil, 0o644))
	}
	must(t, os.Symlink("file", filepath.Join(src, "link")))
	return openImage(t, mksquashfs(t, src, "-comp", "gzip", "-b", "4096", "-no-xattrs"))
}

// testWorker is a worker whose replies go to fd.
func testWorker(t testing.TB, img *squash.Reader, fd int) *worker {
	t.Helper()
	s, err := newServer(img, &Options{ReadAhead: -1})
	must(t, err)
	s.conn = conn{fd}
	s.noOpen.Store(true)
	s.noOpendir.Store(true)
	t.Cleanup(func() {
		s.stop(nil)
		s.workers.Wait()
		must(t, s.cache.close())
	})
	return s.newWorker()
}

func devNull(t testing.TB) int {
	fd, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// request is what the kernel writes for an operation.
func request(op uint32, node uint64, arg []byte) []byte {
	b := make([]byte, inHeaderSize, inHeaderSize+len(arg))
	*view[inHeader](b) = inHeader{Len: uint32(inHeaderSize + len(arg)), Opcode: op, Unique: 7, Node: node}
	return append(b, arg...)
}

func readArg(off uint64, size uint32) []byte {
	return bytesOf(&readIn{Offset: off, Size: size})
}

// nodeNamed looks a name of the root up.
func nodeNamed(t testing.TB, w *worker, name string) uint64 {
	t.Helper()
	if _, errno := w.lookup(rootNode, append([]byte(name), 0)); errno != 0 {
		t.Fatalf("lookup %s: %v", name, errno)
	}
	return view[entryOut](w.out[outHeaderSize:]).Node
}

// What each request is answered with.
func TestDispatch(t *testing.T) {
	w := testWorker(t, smallImage(t), devNull(t))
	file, link := nodeNamed(t, w, "file"), nodeNamed(t, w, "link")
	name := []byte("name\x00")
	const gone = 1 << 40 // no such node
	for _, tt := range []struct {
		what string
		op   uint32
		node uint64
		arg  []byte
		n    int
		want unix.Errno
	}{
		{"init", opInit, 0, bytesOf(&initIn{Major: 7, Minor: 31, Flags: 1<<32 - 1}), 64, 0},
		{"init of a newer major", opInit, 0, bytesOf(&initIn{Major: 8}), 8, 0},
		{"init, short", opInit, 0, []byte{7, 0, 0, 0}, 0, unix.EIO},
		{"open", opOpen, file, make([]byte, 8), 0, unix.ENOSYS},
		{"opendir", opOpendir, 1, make([]byte, 8), 0, unix.ENOSYS},
		{"forget", opForget, file, make([]byte, 8), 0, noReply},
		{"batch forget", opBatchForget, 0, make([]byte, 40), 0, noReply},
		{"interrupt", 36, 0, make([]byte, 8), 0, unix.ENOSYS},
		{"access", 34, 1, make([]byte, 8), 0, unix.ENOSYS},
		{"destroy", opDestroy, 0, nil, 0, 0},
		{"unknown", 4000, 0, nil, 0, unix.ENOSYS},
		{"ioctl", opIoctl, file, make([]byte, 32), 0, unix.ENOTTY},
		{"write", opWrite, file, make([]byte, 80), 0, unix.EROFS},
		{"create", opCreate, 1, append(make([]byte, 16), name...), 0, unix.EROFS},
		{"tmpfile", opTmpfile, 1, append(make([]byte, 16), name...), 0, unix.EROFS},
		{"setattr", opSetattr, file, make([]byte, 88), 0, unix.EROFS},
		{"lookup", opLookup, 1, []byte("file\x00"), entryOutSize, 0},
		{"lookup, missing", opLookup, 1, name, entryOutSize, 0},
		{"lookup of .", opLookup, 1, []byte(".\x00"), entryOutSize, 0},
		{"lookup of .. of a file", opLookup, file, []byte("..\x00"), 0, unix.ENOTDIR},
		{"lookup in a file", opLookup, file, name, 0, unix.ENOTDIR},
		{"lookup, name without end", opLookup, 1, []byte("file"), 0, unix.EINVAL},
		{"lookup nowhere", opLookup, gone, name, 0, unix.EIO},
		{"getattr", opGetattr, 1, make([]byte, 16), 104, 0},
		{"getattr nowhere", opGetattr, gone, make([]byte, 16), 0, unix.EIO},
		{"getattr of node 0", opGetattr, 0, make([]byte, 16), 0, unix.EIO},
		{"readlink", opReadlink, link, nil, 4, 0},
		{"readlink of a file", opReadlink, file, nil, 0, unix.EINVAL},
		{"read", opRead, file, readArg(0, 4096), 0, noReply},
		{"read of many blocks", opRead, file, readArg(0, 1<<20), 0, noReply},
		{"read behind the end", opRead, file, readArg(1<<20, 4096), 0, 0},
		{"read at an offset that is negative", opRead, file, readArg(1<<63, 4096), 0, 0},
		{"read a directory", opRead, 1, readArg(0, 4096), 0, unix.EINVAL},
		{"read, short", opRead, file, make([]byte, 8), 0, unix.EIO},
		{"readdir", opReaddir, 1, readArg(0, 4096), 5 * 32, 0},
		{"readdir, small buffer", opReaddir, 1, readArg(0, 64), 2 * 32, 0},
		{"readdir, no buffer", opReaddir, 1, readArg(0, 0), 0, 0},
		{"readdirplus", opReaddirplus, 1, readArg(0, 4096), 5 * 160, 0},
		{"readdir at a cursor that is none", opReaddir, 1, readArg(1<<62, 4096), 0, unix.EIO},
		{"readdir of a file", opReaddir, file, readArg(0, 4096), 0, unix.ENOTDIR},
		{"statfs", opStatfs, 1, nil, 80, 0},
		{"getxattr", opGetxattr, file, append(make([]byte, 8), name...), 0, unix.ENOSYS},
		{"listxattr", opListxattr, file, make([]byte, 8), 0, unix.ENOSYS},
		{"lseek to nowhere", opLseek, file, bytesOf(&lseekIn{Offset: 1 << 62, Whence: unix.SEEK_DATA}), 0, unix.ENXIO},
		{"lseek, other whence", opLseek, file, bytesOf(&lseekIn{Whence: 1}), 0, unix.EINVAL},
	} {
		req := request(tt.op, tt.node, tt.arg)
		n, errno := w.dispatch(view[inHeader](req), req[inHeaderSize:])
		if n != tt.n || errno != tt.want {
			t.Errorf("%s: %d, %v, want %d, %v", tt.what, n, errno, tt.n, tt.want)
		}
	}
}

// Kernels that know neither no_open nor no_opendir get an answer to OPEN.
func TestOldKernel(t *testing.T) {
	w := testWorker(t, smallImage(t), devNull(t))
	if _, errno := w.init(bytes.Clone(bytesOf(&initIn{Major: 7, Minor: 27, Flags: flagAsyncRead}))); errno != 0 { // a clone is aligned, as requests are
		t.Fatalf("init: %v", errno)
	}
	if out := view[initOut](w.out[outHeaderSize:]); out.Flags != flagAsyncRead {
		t.Errorf("flags = %#x, want only what the kernel has", out.Flags)
	}
	n, errno := w.open(opOpendir)
	if out := view[openOut](w.out[outHeaderSize:]); n != 16 || errno != 0 || out.Flags != openKeepCache|openCacheDir {
		t.Errorf("opendir = %d, %v, %+v", n, errno, out)
	}
	w.init(bytes.Clone(bytesOf(&initIn{Major: 7, Minor: 12})))
	select {
	case <-w.s.done:
	default:
		t.Error("the server goes on with a kernel too old for it")
	}
}

// Serve ends with an error where there is nobody to serve, and answers an INIT
// that it cannot agree with first.
func TestServeErrors(t *testing.T) {
	img := smallImage(t)
	for _, tt := range []struct {
		what string
		req  []byte
		want string // in the error
	}{
		{"kernel too old", request(opInit, 0, bytesOf(&initIn{Major: 7, Minor: 12})), "7.12"},
		{"no fuse descriptor", nil, "not of /dev/fuse"},
	} {
		// A message socket stands for /dev/fuse.
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		must(t, err)
		served := make(chan error, 1)
		go func() { served <- Serve(fds[0], img, nil) }()
		if tt.req != nil {
			_, err = unix.Write(fds[1], tt.req)
			must(t, err)
		} else {
			must(t, unix.Shutdown(fds[1], unix.SHUT_WR))
		}
		if err := <-served; err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Serve = %v, want %q in it", tt.what, err, tt.want)
		}
		if reply := make([]byte, 100); tt.req != nil {
			n, err := unix.Read(fds[1], reply)
			if h := view[outHeader](reply); err != nil || n != outHeaderSize || h.Unique != 7 || h.Error != -int32(unix.EPROTO) {
				t.Errorf("%s: reply of %d bytes %+v, %v", tt.what, n, h, err)
			}
		}
		unix.Close(fds[0])
		unix.Close(fds[1])
	}
	if err := Serve(-1, img, nil); !errors.Is(err, unix.EBADF) {
		t.Errorf("Serve(-1) = %v, want EBADF", err)
	}
}

// A directory read in small pieces is the directory.
func TestReaddirPieces(t *testing.T) {
	w := testWorker(t, smallImage(t), devNull(t))
	dir := nodeNamed(t, w, "dir")
	for _, op := range []uint32{opReaddir, opReaddirplus} {
		names := map[string]bool{}
		off := uint64(0)
		for range 200 {
			req := request(op, dir, readArg(off, 400))
			n, errno := w.dispatch(view[inHeader](req), req[inHeaderSize:])
			if errno != 0 {
				t.Fatal(errno)
			}
			if n == 0 {
				break
			}
			for b := w.out[outHeaderSize : outHeaderSize+n]; len(b) > 0; {
				if op == opReaddirplus {
					b = b[entryOutSize:]
				}
				e := view[dirent](b)
				names[string(b[direntSize:direntSize+e.NameLen])] = true
				off = e.Off
				b = b[(direntSize+e.NameLen+7)&^7:]
			}
		}
		if len(names) != 102 || !names["."] || !names[".."] || !names["entry42"] {
			t.Errorf("op %d: %d names, want 100 and the dots", op, len(names))
		}
	}
}

// What is served from memory allocates nothing.
func TestAllocations(t *testing.T) {
	w := testWorker(t, smallImage(t), devNull(t))
	file, dir := nodeNamed(t, w, "file"), nodeNamed(t, w, "dir")
	for _, tt := range []struct {
		what string
		req  []byte
	}{
		{"getattr", request(opGetattr, file, make([]byte, 16))},
		{"lookup", request(opLookup, rootNode, []byte("file\x00"))},
		{"lookup, missing", request(opLookup, rootNode, []byte("missing\x00"))},
		{"read", request(opRead, file, readArg(0, 3*4096+100))},
		{"readdirplus", request(opReaddirplus, dir, readArg(0, 32<<10))},
		{"statfs", request(opStatfs, rootNode, nil)},
		{"forget", request(opForget, file, make([]byte, 8))},
	} {
		if n := testing.AllocsPerRun(100, func() { w.serve(tt.req) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.what, n)
		}
	}
}

// No request, however wrong, ends the server.
func FuzzServe(f *testing.F) {
	w := testWorker(f, smallImage(f), devNull(f))
	for op := range uint32(54) {
		f.Add(op, uint64(1), readArg(0, 4096))
	}
	file := nodeNamed(f, w, "file")
	f.Add(uint32(opRead), file, readArg(4000, 9000))
	f.Add(uint32(opLookup), uint64(1), []byte("file\x00"))
	f.Fuzz(func(t *testing.T, op uint32, node uint64, arg []byte) {
		if op == opInit {
			return // may end the server, rightly
		}
		if len(arg) >= 16 { // an offset near the file's
			off := binary.NativeEndian.Uint64(arg[8:]) % (1 << 20)
			binary.NativeEndian.PutUint64(arg[8:], off)
		}
		req := request(op, node, arg)
		if _, errno := w.dispatch(view[inHeader](req), req[inHeaderSize:]); w.npins != 0 {
			t.Errorf("op %d: %v, %d blocks stay pinned", op, errno, w.npins)
		}
		w.serve(req[:len(req)/2])
	})
}
