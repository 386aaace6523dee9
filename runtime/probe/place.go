package probe

import (
	"path"
	"strings"

	"coracle/runtime"

	"golang.org/x/sys/unix"
)

// unfit are the file systems that the kernel cannot keep a writable layer on, by their magic numbers: they lack
// whiteouts, attributes or the atomic exchange of names, or change behind the kernel's back.
//
// Source: statfs(2), and the headers of the file systems that are not in the kernel.
func unfit(magic int64) string {
	switch uint32(magic) {
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return "SMB"
	case 0x0BD00BD0:
		return "Lustre"
	case 0x47504653:
		return "GPFS"
	case unix.CEPH_SUPER_MAGIC:
		return "CephFS"
	case 0x19830326:
		return "BeeGFS"
	case 0xAAD7AAEA:
		return "PanFS"
	case 0x20030528:
		return "OrangeFS"
	case unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC:
		return "AFS"
	case unix.V9FS_MAGIC:
		return "9P"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "another overlay"
	case unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC:
		return "FAT"
	}
	return ""
}

// Place looks at a directory in which a writable layer, or an extracted image, is wanted.
func Place(path string) runtime.Place {
	p := runtime.Place{Path: path}
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		p.Denied = err
		return p
	}
	p.FS = unfit(int64(st.Type))
	p.NoExec = st.Flags&unix.ST_NOEXEC != 0
	if err := unix.Access(path, unix.W_OK|unix.X_OK); err != nil {
		p.Denied = err
	}
	return p
}

// ExtMount returns the path of fuse2fs, which mounts ext file systems, or "": it is looked for in the directories of
// PATH and in those for administrators.
func ExtMount(root string, env []string) string {
	for dir := range strings.SplitSeq(lookup(env, "PATH")+":/usr/local/sbin:/usr/sbin:/usr/bin:/sbin", ":") {
		if !path.IsAbs(dir) {
			continue
		}
		name := path.Join(dir, "fuse2fs")
		if unix.Access(root+name, unix.X_OK) == nil {
			return name
		}
	}
	return ""
}
