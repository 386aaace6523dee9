// Package record writes down what a file on disk cannot be for an ordinary user: somebody else's, a device, setuid, with
// attributes that only root may set. What makes an image of the directory reads it back.
//
// A [Note] is kept in extended attributes of the file itself, so that it goes where the file goes, or as a line of a [Spec], a
// file beside all others, where the file or the file system has no such attributes. Everything here is bytes; package build puts
// them in place.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"coracle/squash"
)

// ErrFormat: what is recorded cannot be understood.
var ErrFormat = errors.New("damaged record of a file's attributes")

// Names of extended attributes that records are kept in.
const (
	OwnerAttr = "user.rootlesscontainers" // as umoci, PRoot and others keep owners
	OwnPrefix = "user.coracle."           // ours
	nodeAttr  = OwnPrefix + "node"        // "c 1 3": the empty file stands for that device
	modeAttr  = OwnPrefix + "mode"        // octal permission bits
	xattrAttr = OwnPrefix + "xattr."      // before the name of an attribute that has its value

	// PointAttr is on what a launch with --writable has made to mount on; package runtime has the same.
	PointAttr = OwnPrefix + "point"
	// CreatedAttr is on the top directory of every sandbox: when the image was made, in seconds since 1970; empty: unknown.
	CreatedAttr = OwnPrefix + "created"
)

// A Note is what is recorded of a file. The zero value says nothing: the file is root's, and for the rest as it stands on disk.
type Note struct {
	UID, GID uint32 // the owner
	Type     squash.Type
	Rdev     uint32 // of devices, as [squash.Rdev] has it
	Perm     uint16 // with HasPerm: permission bits with setuid, setgid, sticky
	HasPerm  bool
	Xattrs   []squash.Xattr // that could not be set under their own names
}

// Zero tells whether there is nothing to record.
func (n *Note) Zero() bool {
	return n.UID == 0 && n.GID == 0 && n.Type == 0 && !n.HasPerm && len(n.Xattrs) == 0
}

// Reserved tells whether an attribute of that name is a record or looks like one. An image's own has to be recorded under another.
func Reserved(name string) bool {
	return name == OwnerAttr || strings.HasPrefix(name, OwnPrefix)
}

// DiskPerm returns the permission bits that a file has on disk for perm: nothing that gives rights away (setuid, setgid),
// and always what its owner needs to read it, or to look into the directory and change it.
func DiskPerm(t squash.Type, perm uint16) uint16 {
	switch t {
	case squash.Directory:
		return perm&0o1777 | 0o700
	case squash.Fifo, squash.Socket:
		return perm & 0o777
	}
	return perm&0o777 | 0o400 // devices too: a file stands for them
}

// Encode returns the note as extended attributes.
func (n *Note) Encode() (list []squash.Xattr) {
	if n.UID != 0 || n.GID != 0 {
		list = append(list, squash.Xattr{Name: OwnerAttr, Value: encodeOwner(n.UID, n.GID)})
	}
	if letter := deviceLetter(n.Type); letter != "" {
		major, minor := device(n.Rdev)
		list = append(list, squash.Xattr{Name: nodeAttr, Value: fmt.Appendf(nil, "%s %d %d", letter, major, minor)})
	}
	if n.HasPerm {
		list = append(list, squash.Xattr{Name: modeAttr, Value: strconv.AppendUint(nil, uint64(n.Perm), 8)})
	}
	for _, x := range n.Xattrs {
		list = append(list, squash.Xattr{Name: xattrAttr + x.Name, Value: x.Value})
	}
	return list
}

// Split takes the records out of a file's attributes. It returns them as a note, and the attributes that are the file's
// own. The error wraps [ErrFormat].
func Split(list []squash.Xattr) (n Note, own []squash.Xattr, err error) {
	for _, x := range list {
		name, escaped := strings.CutPrefix(x.Name, xattrAttr)
		switch {
		case escaped && name != "":
			n.Xattrs = append(n.Xattrs, squash.Xattr{Name: name, Value: x.Value})
		case x.Name == OwnerAttr:
			n.UID, n.GID, err = decodeOwner(x.Value)
		case x.Name == nodeAttr:
			err = n.decodeNode(string(x.Value))
		case x.Name == modeAttr:
			err = n.decodeMode(string(x.Value))
		case !Reserved(x.Name):
			own = append(own, x)
		}
		if err != nil {
			return Note{}, nil, fmt.Errorf("%w: %s = %.80q", err, x.Name, x.Value)
		}
	}
	return n, own, nil
}

func (n *Note) decodeMode(s string) error {
	mode, err := strconv.ParseUint(s, 8, 12)
	if err != nil {
		return ErrFormat
	}
	n.Perm, n.HasPerm = uint16(mode), true
	return nil
}

func (n *Note) decodeNode(s string) error {
	f := strings.Split(s, " ")
	if len(f) != 3 {
		return ErrFormat
	}
	switch f[0] {
	case "c":
		n.Type = squash.CharDevice
	case "b":
		n.Type = squash.BlockDevice
	default:
		return ErrFormat
	}
	return n.decodeDevice(f[1], f[2])
}

func (n *Note) decodeDevice(major, minor string) error {
	a, err := strconv.ParseUint(major, 10, 32)
	b, err2 := strconv.ParseUint(minor, 10, 32)
	rdev, ok := squash.Rdev(uint32(a), uint32(b))
	if err != nil || err2 != nil || !ok {
		return ErrFormat
	}
	n.Rdev = rdev
	return nil
}

func deviceLetter(t squash.Type) string {
	switch t {
	case squash.CharDevice:
		return "c"
	case squash.BlockDevice:
		return "b"
	}
	return ""
}

func device(rdev uint32) (major, minor uint32) {
	i := squash.Inode{Rdev: rdev}
	return i.Device()
}

// An owner is a protocol buffers message of two varints, uid in field 1 and gid in field 2. A field that is missing is 0,
// root; noChange means that the file's own owner counts, who is root in an image.
//
// Source: rootlesscontainers.proto, https://github.com/rootless-containers/proto
const noChange = 1<<32 - 1

func encodeOwner(uid, gid uint32) (b []byte) {
	for field, id := range []uint32{uid, gid} {
		if id != 0 {
			b = append(b, byte(field+1)<<3)
			b = binary.AppendUvarint(b, uint64(id))
		}
	}
	return b
}

func decodeOwner(b []byte) (uid, gid uint32, err error) {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 || key&7 != 0 {
			return 0, 0, ErrFormat
		}
		b = b[n:]
		id, n := binary.Uvarint(b)
		if n <= 0 || id > noChange {
			return 0, 0, ErrFormat
		}
		b = b[n:]
		if id == noChange {
			id = 0
		}
		switch key >> 3 {
		case 1:
			uid = uint32(id)
		case 2:
			gid = uint32(id)
		}
	}
	return uid, gid, nil
}
