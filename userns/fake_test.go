package userns

import (
	"encoding/binary"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A call is what a filter looks at.
type call struct {
	arch, number uint32
	args         [6]uint64
}

// data is struct seccomp_data of linux/seccomp.h.
func (c call) data() []byte {
	b := binary.LittleEndian.AppendUint32(nil, c.number)
	b = binary.LittleEndian.AppendUint32(b, c.arch)
	b = append(b, make([]byte, 8)...)
	for _, a := range c.args {
		b = binary.LittleEndian.AppendUint64(b, a)
	}
	return b
}

// interpret runs a classic BPF program, as far as ours go.
func interpret(t *testing.T, p []unix.SockFilter, data []byte) uint32 {
	t.Helper()
	var acc uint32
	for pc := 0; pc < len(p); pc++ {
		in := p[pc]
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			acc = binary.LittleEndian.Uint32(data[in.K:])
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			acc &= in.K
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(in.K)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			if acc == in.K {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		default:
			t.Fatalf("instruction %d: code %#x", pc, in.Code)
		}
	}
	t.Fatal("the program runs off its end")
	return 0
}

// Every call number of every architecture: only those of the table are faked, mknod only of devices.
func TestFakeProgram(t *testing.T) {
	p := fakeProgram()
	if len(p) > unix.BPF_MAXINSNS {
		t.Fatalf("the program has %d instructions, the kernel takes %d", len(p), unix.BPF_MAXINSNS)
	}
	for _, a := range architectures() {
		for n := range uint32(1024) {
			for _, mode := range []uint32{0, unix.S_IFREG, unix.S_IFIFO | 0o644, unix.S_IFSOCK, unix.S_IFCHR | 0o666, unix.S_IFBLK | 0o600} {
				device := mode&unix.S_IFMT == unix.S_IFCHR || mode&unix.S_IFMT == unix.S_IFBLK
				for at := 1; at <= 2; at++ {
					c := call{arch: a.arch, number: n}
					c.args[at] = uint64(mode) | 1<<40 // the kernel looks at the low half only
					want := uint32(unix.SECCOMP_RET_ALLOW)
					if slices.Contains(a.fake, n) || device && (at == 1 && a.mknod != 0 && n == a.mknod || at == 2 && n == a.mknodat) {
						want = unix.SECCOMP_RET_ERRNO
					}
					if got := interpret(t, p, c.data()); got != want {
						t.Errorf("arch %#x call %d, argument %d = %#o: %#x, want %#x", a.arch, n, at, mode, got, want)
					}
				}
			}
		}
	}
	for _, c := range []struct {
		what string
		call call
		want uint32
	}{
		{"chown of x32", call{arch: unix.AUDIT_ARCH_X86_64, number: 0x40000000 | 92}, unix.SECCOMP_RET_ERRNO},
		{"getpid of x32", call{arch: unix.AUDIT_ARCH_X86_64, number: 0x40000000 | 39}, unix.SECCOMP_RET_ALLOW},
		{"chown's number elsewhere", call{arch: unix.AUDIT_ARCH_S390X, number: 92}, unix.SECCOMP_RET_ALLOW},
	} {
		if got := interpret(t, p, c.call.data()); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.what, got, c.want)
		}
	}
}

// The kernel takes the program, and the calls that this machine knows as chown and setgroups do nothing.
func TestFakeOwners(t *testing.T) {
	cmd := exec.Command(self(t), "fake")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Skipf("no user namespaces: %v", err)
	}
	if got := strings.TrimSpace(string(out)); got != "" {
		t.Error(got)
	}
}

// fakeAll tries in this process what a filter should let pass, and prints what it did not.
func fakeAll() {
	runtime.LockOSThread()
	check := func(what string, err error) {
		if err != nil {
			println(what, err.Error())
		}
	}
	check("FakeOwners", FakeOwners())
	check("write", os.WriteFile("file", nil, 0o600))
	check("chown", unix.Chown("file", 33, 44))
	check("lchown", unix.Lchown("file", 33, 44))
	check("fchownat", unix.Fchownat(unix.AT_FDCWD, "file", 33, 44, 0))
	check("mknod", unix.Mknod("device", unix.S_IFCHR|0o666, 0x0103))
	check("mkfifo", unix.Mknod("fifo", unix.S_IFIFO|0o666, 0))
	for what, n := range map[string]uintptr{
		"setuid": unix.SYS_SETUID, "setgid": unix.SYS_SETGID, "setreuid": unix.SYS_SETREUID, "setregid": unix.SYS_SETREGID,
		"setresuid": unix.SYS_SETRESUID, "setresgid": unix.SYS_SETRESGID, "setfsuid": unix.SYS_SETFSUID, "setfsgid": unix.SYS_SETFSGID,
		"setgroups": unix.SYS_SETGROUPS, // of 33 groups at a bad address
	} {
		if r, _, errno := unix.RawSyscall(n, 33, 33, 33); errno != 0 || r != 0 {
			println(what, r, errno.Error())
		}
	}
	if _, err := os.Lstat("fifo"); err != nil {
		println("fifo", err.Error())
	}
	if _, err := os.Lstat("device"); err == nil {
		println("a device was made")
	}
	if os.Getuid() != 0 || os.Geteuid() != 0 {
		println("uid", os.Getuid())
	}
}
