package image

import "os"

// CheckArch says whether an image for arch can run on a machine of architecture host;
// both are GOARCH names, and "" is unknown. A program of binfmt_misc that emulates arch
// counts. The error is an *[ArchError].
func CheckArch(arch, host string) error {
	switch {
	case arch == "" || arch == host:
		return nil
	case arch == "386" && host == "amd64", arch == "arm" && host == "arm64":
		return nil
	case emulated(arch):
		return nil
	}
	return &ArchError{Arch: arch, Host: host}
}

// emulated reports whether the kernel hands programs for arch to an emulator.
func emulated(arch string) bool {
	name := arch
	switch arch { // QEMU's own names
	case "amd64":
		name = "x86_64"
	case "386":
		name = "i386"
	case "arm64":
		name = "aarch64"
	case "loong64":
		name = "loongarch64"
	}
	_, err := os.Stat("/proc/sys/fs/binfmt_misc/qemu-" + name)
	return err == nil
}
