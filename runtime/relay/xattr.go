package relay

import (
	"bytes"
	"strings"

	"coracle/fusewire"

	"golang.org/x/sys/unix"
)

// maxXattr is the kernel's limit for a value, and for the names of all, in bytes.
const maxXattr = 64 << 10

// withFile calls do with a descriptor of the node. Other things than files and directories have no attributes.
func (r *relay) withFile(n *node, do func(fd int) error) error {
	if len(n.open) > 0 && n.open[0].fd >= 0 {
		return do(n.open[0].fd)
	}
	fd, err := r.openNode(n, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return do(fd)
}

// attributes returns the names of a node's attributes. Nobody else changes them, so they are read once.
func (r *relay) attributes(n *node) (map[string]bool, error) {
	if n.xattrs != nil || n.kind != unix.S_IFREG && n.kind != unix.S_IFDIR {
		return n.xattrs, nil
	}
	buf := make([]byte, maxXattr)
	err := r.withFile(n, func(fd int) error {
		size, err := unix.Flistxattr(fd, buf)
		buf = buf[:max(size, 0)]
		return err
	})
	if err != nil {
		return nil, err
	}
	n.xattrs = map[string]bool{}
	for name := range strings.SplitSeq(string(buf), "\x00") {
		if name != "" {
			n.xattrs[name] = true
		}
	}
	return n.xattrs, nil
}

// value replies with n bytes that lie in r.out behind the header, or with their number if the caller has asked for that.
func (r *relay) value(asked uint32, n int) (int, error) {
	if asked == 0 {
		out, size := body[fusewire.GetxattrOut](r)
		out.Size = uint32(n)
		return size, nil
	}
	if n > int(asked) {
		return 0, unix.ERANGE
	}
	return n, nil
}

func (r *relay) getxattr(n *node, arg []byte) (int, error) {
	in, rest, err := split[fusewire.GetxattrIn](arg)
	if err != nil {
		return 0, err
	}
	name, _, ok := bytes.Cut(rest, []byte{0})
	if !ok {
		return 0, unix.EINVAL
	}
	have, err := r.attributes(n)
	if err != nil {
		return 0, err
	}
	if !have[string(name)] {
		return 0, unix.ENODATA
	}
	size := 0
	err = r.withFile(n, func(fd int) (err error) {
		size, err = unix.Fgetxattr(fd, string(name), r.out[fusewire.OutHeaderSize:][:maxXattr])
		return err
	})
	if err != nil {
		return 0, err
	}
	return r.value(in.Size, size)
}

func (r *relay) listxattr(n *node, arg []byte) (int, error) {
	in, _, err := split[fusewire.GetxattrIn](arg)
	if err != nil {
		return 0, err
	}
	have, err := r.attributes(n)
	if err != nil {
		return 0, err
	}
	b := r.out[fusewire.OutHeaderSize:][:0]
	for name := range have {
		b = append(append(b, name...), 0)
	}
	return r.value(in.Size, len(b))
}

func (r *relay) setxattr(n *node, arg []byte) (int, error) {
	in, rest, err := split[fusewire.SetxattrIn](arg)
	if err != nil {
		return 0, err
	}
	name, value, ok := bytes.Cut(rest, []byte{0})
	if !ok || int(in.Size) > len(value) {
		return 0, unix.EINVAL
	}
	n.xattrs = nil
	return 0, r.withFile(n, func(fd int) error {
		return unix.Fsetxattr(fd, string(name), value[:in.Size], int(in.Flags))
	})
}

func (r *relay) removexattr(n *node, arg []byte) (int, error) {
	name, _, ok := bytes.Cut(arg, []byte{0})
	if !ok {
		return 0, unix.EINVAL
	}
	have, err := r.attributes(n)
	if err != nil {
		return 0, err
	}
	if !have[string(name)] {
		return 0, unix.ENODATA
	}
	n.xattrs = nil
	return 0, r.withFile(n, func(fd int) error { return unix.Fremovexattr(fd, string(name)) })
}
