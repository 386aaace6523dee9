package userns

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data, and where the low half of argument n stands on a little-endian machine.
//
// Source: linux/seccomp.h.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// calls are the system calls of one architecture that pretend to work.
//
// Source: the kernel's syscall tables; arch is AUDIT_ARCH_* of linux/audit.h.
type calls struct {
	arch    uint32
	mask    uint32 // bits of the number that count; 0 all
	fake    []uint32
	mknod   uint32 // mode is argument 1; 0: the architecture has none
	mknodat uint32 // mode is argument 2
}

// architectures lists the calls that change owners and ids, chown to setfsgid, by architecture, with the 32-bit ones
// that the same kernel runs.
func architectures() []calls {
	// lchown setuid setgid setreuid setregid setgroups fchown setfsuid setfsgid setresuid setresgid chown, and the
	// same with 32-bit ids in the order of their numbers
	old := []uint32{16, 23, 46, 70, 71, 81, 95, 138, 139, 164, 170, 182, 198, 203, 204, 206, 207, 208, 210, 212, 213, 214, 215, 216}
	with := func(fchownat uint32) []uint32 { return append(append([]uint32{}, old...), fchownat) }
	return []calls{
		{ // x86-64; the bit of the x32 ABI does not count
			arch: unix.AUDIT_ARCH_X86_64, mask: ^uint32(0x40000000),
			// chown fchown lchown setuid setgid setreuid setregid setgroups setresuid setresgid setfsuid setfsgid fchownat
			fake:  []uint32{92, 93, 94, 105, 106, 113, 114, 116, 117, 119, 122, 123, 260},
			mknod: 133, mknodat: 259,
		},
		{arch: unix.AUDIT_ARCH_I386, fake: with(298), mknod: 14, mknodat: 297},
		{ // arm64, in the same order but without those that *at calls replace
			arch:    unix.AUDIT_ARCH_AARCH64,
			fake:    []uint32{55, 146, 144, 145, 143, 159, 147, 149, 151, 152, 54},
			mknodat: 33,
		},
		{arch: unix.AUDIT_ARCH_ARM, fake: with(325), mknod: 14, mknodat: 324},
	}
}

func statement(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }

func jumpIfEqual(k uint32, yes, no int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(yes), Jf: uint8(no), K: k}
}

func load(offset uint32) unix.SockFilter {
	return statement(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset)
}

// fakeProgram is the filter of [FakeOwners]: a classic BPF program over struct seccomp_data. Calls of
// architectures that it does not know go through.
func fakeProgram() []unix.SockFilter {
	var p []unix.SockFilter
	for _, a := range architectures() {
		section := a.program()
		p = append(p, load(offArch), jumpIfEqual(a.arch, 0, len(section)))
		p = append(p, section...)
	}
	return append(p, allow())
}

func allow() unix.SockFilter {
	return statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW)
}

// program decides on a call of this architecture. Its end is
//
//	mode of mknod      load argument 1, go on at the test
//	mode of mknodat    load argument 2
//	test               a device? fake : allow
//	fake               errno 0
func (a *calls) program() []unix.SockFilter {
	end := []unix.SockFilter{
		load(offArgs + 8*1),
		statement(unix.BPF_JMP|unix.BPF_JA, 1),
		load(offArgs + 8*2),
		statement(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, unix.S_IFMT),
		jumpIfEqual(unix.S_IFCHR, 2, 0),
		jumpIfEqual(unix.S_IFBLK, 1, 0),
		allow(),
		statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ERRNO),
	}
	const mknod, mknodat, fake = 0, 2, 7 // positions in end
	p := []unix.SockFilter{load(offNumber)}
	if a.mask != 0 {
		p = append(p, statement(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, a.mask))
	}
	type target struct {
		number uint32
		at     int
	}
	var tests []target
	for _, n := range a.fake {
		tests = append(tests, target{n, fake})
	}
	if a.mknod != 0 {
		tests = append(tests, target{a.mknod, mknod})
	}
	tests = append(tests, target{a.mknodat, mknodat})
	for i, t := range tests {
		rest := len(tests) - i - 1 + 1 // the tests behind this one, and the allow behind them
		p = append(p, jumpIfEqual(t.number, rest+t.at, 0))
	}
	return append(append(p, allow()), end...)
}

// FakeOwners lets chown, setuid, setgroups and their kin, and mknod of devices, succeed without effect in the calling
// thread and in what it executes and starts, for programs that want to be root where root is the only id there is.
// The thread must have CAP_SYS_ADMIN in its user namespace.
func FakeOwners() error {
	const filterSpecAllow = 1 << 2 // SECCOMP_FILTER_FLAG_SPEC_ALLOW: the filter is no sandbox
	program := fakeProgram()
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	var errno syscall.Errno
	for _, flags := range []uintptr{filterSpecAllow, 0} {
		_, _, errno = unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
		if errno == 0 {
			break
		}
	}
	runtime.KeepAlive(program)
	if errno != 0 {
		return fmt.Errorf("install the seccomp filter of --fakeroot: %w", errno)
	}
	return nil
}
