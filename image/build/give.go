package build

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"

	"coracle/image/record"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

// give gives the file name in dir the attributes of the inode, or records them. fd is the file, open for writing, or the directory;
// -1: it is something that has no attributes of users.
func (u *unpacker) give(dir *folder, name string, fd int, ino *squash.Inode) error {
	if err := u.giveAll(dir, name, fd, ino); err != nil {
		return err
	}
	return giveTime(dir, name, ino)
}

// giveTop is give for the top directory, where the records lie that fit nowhere else.
func (u *unpacker) giveTop(dir *folder, ino *squash.Inode) error {
	if u.created != "" && unix.Fsetxattr(dir.fd, record.CreatedAttr, []byte(u.created), 0) != nil {
		u.spec.Created = u.created
	}
	if err := u.giveAll(dir, ".", dir.fd, ino); err != nil {
		return err
	}
	if len(u.spec.Lines) > 0 || u.spec.Created != "" {
		f, err := u.root.OpenFile(record.SpecName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = u.spec.WriteTo(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return giveTime(dir, ".", ino)
}

func giveTime(dir *folder, name string, ino *squash.Inode) error {
	t := unix.Timespec{Sec: int64(ino.MTime)}
	return unix.UtimesNanoAt(dir.fd, name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}

// giveAll does all but the time. Attributes come before permission bits: who may not write to a file may not set them.
func (u *unpacker) giveAll(dir *folder, name string, fd int, ino *squash.Inode) error {
	var n record.Note
	if fd >= 0 && ino.Type != squash.Regular && ino.Type != squash.Directory {
		n.Type, n.Rdev = ino.Type, ino.Rdev
	}
	perm := record.DiskPerm(ino.Type, ino.Perm)
	switch {
	case u.privileged && unix.Fchownat(dir.fd, name, int(ino.UID), int(ino.GID), unix.AT_SYMLINK_NOFOLLOW) == nil:
		if n.Type == 0 {
			perm = ino.Perm
		}
	default:
		n.UID, n.GID = ino.UID, ino.GID
	}
	if ino.Type == squash.Symlink {
		perm = 0o777
	}
	if perm != ino.Perm {
		n.Perm, n.HasPerm = ino.Perm, true
	}
	err := u.r.Xattrs(ino, func(attr string, value []byte) bool {
		if n.Type != 0 || !u.setXattr(dir, name, fd, attr, value) {
			n.Xattrs = append(n.Xattrs, squash.Xattr{Name: strings.Clone(attr), Value: append([]byte{}, value...)})
		}
		return true
	})
	if err != nil {
		return err
	}
	if !n.Zero() && !setAll(fd, n.Encode()) {
		u.remember(path.Join(dir.path, name), ino, &n)
	}
	if ino.Type == squash.Symlink {
		return nil
	}
	return unix.Fchmodat(dir.fd, name, uint32(perm), 0)
}

// setXattr sets an attribute of the image's under its own name, if that can be.
func (u *unpacker) setXattr(dir *folder, name string, fd int, attr string, value []byte) bool {
	switch {
	case record.Reserved(attr):
		return false
	case fd >= 0 && (u.privileged || strings.HasPrefix(attr, "user.")):
		return unix.Fsetxattr(fd, attr, value, 0) == nil
	case u.privileged:
		return unix.Lsetxattr("/proc/self/fd/"+strconv.Itoa(dir.fd)+"/"+name, attr, value, 0) == nil
	}
	return false
}

// setAll records in attributes: all of them or none.
func setAll(fd int, list []squash.Xattr) bool {
	if fd < 0 {
		return false
	}
	for i, x := range list {
		if unix.Fsetxattr(fd, x.Name, x.Value, 0) != nil {
			for _, set := range list[:i] {
				unix.Fremovexattr(fd, set.Name)
			}
			return false
		}
	}
	return true
}

// remember records in the list of the top directory.
func (u *unpacker) remember(full string, ino *squash.Inode, n *record.Note) {
	l := record.Line{Path: full, Disk: ino.Type, Note: *n}
	switch {
	case n.Type != 0:
		l.Disk = squash.Regular
	case ino.Type == squash.Regular:
		l.Size, l.Time = ino.Size, int64(ino.MTime)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.spec.Lines = append(u.spec.Lines, l)
}
