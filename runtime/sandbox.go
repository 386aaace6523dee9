package runtime

import (
	"errors"
	"path"
	"strconv"

	"coracle/bind"

	"golang.org/x/sys/unix"
)

// PointAttr marks an empty directory or file of a sandbox that is there to be mounted on. What makes an image of the
// sandbox leaves it out, unless something has been put into it.
const PointAttr = "user.coracle.point"

// makeInSandbox makes the mount points that a sandbox lacks in itself, where what is written goes there anyhow: a layer over
// it would take the writes. Nothing else of the sandbox changes, not even the times of its directories. It returns
// why some could not be made, by their paths: that matters only if what is to be mounted there has to be.
func makeInSandbox(root int, points []bind.Point) (lacking map[string]error) {
	lacking = make(map[string]error)
	for _, pt := range points {
		if err := makeInDir(root, pt); err != nil {
			lacking[pt.Path] = err
		}
	}
	return lacking
}

func makeInDir(root int, pt bind.Point) error {
	dir, err := openIn(root, path.Dir(pt.Path))
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	var before unix.Stat_t
	if err := unix.Fstat(dir, &before); err != nil {
		return err
	}
	name := path.Base(pt.Path)
	if pt.Kind == bind.Directory {
		if err = unix.Mkdirat(dir, name, 0o700); err == nil {
			err = unix.Fchmodat(dir, name, perm(pt.Perm, 0o755), 0)
		}
	} else {
		err = writeAt(dir, name, nil, perm(pt.Perm, 0o644))
	}
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return err
	}
	at := "/proc/self/fd/" + strconv.Itoa(dir)
	// Both are for tidiness: a file system without attributes and a directory of somebody else's do without.
	unix.Lsetxattr(at+"/"+name, PointAttr, nil, 0)
	unix.UtimesNanoAt(unix.AT_FDCWD, at, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, before.Mtim}, 0)
	return nil
}
