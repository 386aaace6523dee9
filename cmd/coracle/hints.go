package main

import (
	"errors"
	"io/fs"
	"strings"

	"coracle/bind"
	"coracle/bind/gpu"
	"coracle/image"
	"coracle/image/sif"
	"coracle/runtime"
	"coracle/runtime/env"
	"coracle/runtime/instance"
	"coracle/runtime/probe"
	"coracle/squash"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// hint says what to type about err, or "". This is the one place where errors meet cures.
func (c *cli) hint(err error) string {
	var missing *image.MissingError
	var kind *image.KindError
	var forbidden *probe.UserNSError
	var step *userns.StepError
	var point *bind.PointError
	var source *bind.SourceError
	var command *env.ExecError
	var lost *instance.MissingError
	var taken *instance.TakenError
	var allow *allowError
	var unsupported *unsupportedError
	var device *gpu.DeviceError
	var usage *usageError
	var dir *runtime.DirError
	if h := layerHint(err); h != "" {
		return h
	}
	if h := extractHint(err); h != "" {
		return h
	}
	if h := sandboxHint(err); h != "" {
		return h
	}
	switch {
	case errors.As(err, &allow):
		return allow.hint()
	case errors.As(err, &device):
		return deviceHint(device)
	case errors.As(err, &usage) && usage.cure != "":
		return usage.cure
	case errors.As(err, &dir) && errors.Is(err, fs.ErrNotExist):
		return "where it is a directory of the host, bind it: --bind " + dir.Path
	case errors.As(err, &unsupported):
		return unsupported.cure
	case errors.As(err, &lost) && len(lost.Running) > 0:
		if n := nearest(lost.Name, lost.Running); n != "" {
			return "did you mean " + n + "?"
		}
		return "running: " + strings.Join(lost.Running, ", ")
	case errors.As(err, &taken) && !taken.Starting:
		return c.program + " instance stop " + taken.Name
	case errors.As(err, &missing):
		return missingHint(missing, err)
	case errors.As(err, &kind):
		return kindHint(kind)
	case errors.As(err, &forbidden):
		return "ask the administrator to run: " + forbidden.Cure
	case errors.As(err, &step):
		return stepHint(step)
	case errors.As(err, &point):
		return pointHint(point)
	case errors.As(err, &source):
		return sourcePathHint(source)
	case errors.As(err, &command):
		return commandHint(command)
	}
	if h := c.sourceHint(err); h != "" {
		return h
	}
	return imageHint(err)
}

// missingHint is about an image that is not there: e, and err around it.
func missingHint(e *image.MissingError, err error) string {
	var path *image.PathError
	switch {
	case len(e.Similar) > 0:
		return "the directory has " + strings.Join(e.Similar, ", ")
	case errors.As(err, &path):
		return transportHint(path.Path)
	}
	return ""
}

// transportHint is about a name that begins as a source would, were it not misspelt.
func transportHint(name string) string {
	transport, rest, ok := strings.Cut(name, "://")
	if !ok {
		return ""
	}
	if n := nearest(transport, []string{"docker", "oras", "http", "https"}); n != "" {
		return "did you mean " + n + "://" + rest + "?"
	}
	return "sources are docker://, oras://, http(s)://, oci:, oci-archive:, docker-archive:, docker-daemon: and containers-storage:"
}

func kindHint(e *image.KindError) string {
	switch e.Looks {
	case "a web page":
		return "the download answered with an error page: get the image again"
	case "nothing but zero bytes":
		return "the copy or download was cut short: get the image again"
	}
	return "images are SIF files, squashfs files and directories"
}

// stepHint is about a step of entering the container's namespaces.
func stepHint(e *userns.StepError) string {
	switch {
	case probe.Chrooted(""):
		return "this is a chroot, in which the kernel allows no user namespaces: use pivot_root or a container instead"
	case errors.Is(e, unix.EPERM) && unix.Geteuid() == 0 && strings.Contains(e.Step, "id_map"):
		return "root without the capability SETFCAP may not be root in there: start the container around this one with --cap-add SETFCAP, or as another user"
	case errors.Is(e, unix.ENOSPC):
		return "there are too many user namespaces; ask the administrator to run: sysctl -w user.max_user_namespaces=15000"
	}
	return "coracle doctor tells what this host does not allow"
}

// deviceHint is about a device that no specification has.
func deviceHint(e *gpu.DeviceError) string {
	switch n := nearest(e.Name, e.Known); {
	case n != "":
		return "did you mean " + n + "?"
	case len(e.Known) > 0:
		return "there are " + strings.Join(e.Known, ", ")
	case len(e.Yaml) > 0:
		return e.Yaml[0] + " is YAML, which is not read; for NVIDIA's: nvidia-ctk cdi generate --format=json --output=/etc/cdi/nvidia.json"
	}
	return "specifications are looked for in /etc/cdi, /var/run/cdi or --cdi-dirs"
}

// sourcePathHint is about a bind's source that is not there.
func sourcePathHint(e *bind.SourceError) string {
	switch {
	case e.In != "":
		return "image-src is a path inside " + e.In + "; image-src=/ is all of it"
	case e.Why == "--workdir" && errors.Is(e, fs.ErrNotExist):
		return "make it: mkdir -p " + e.Source
	}
	return "a bind's source is a path on the host; the path in the container follows after a colon"
}

func pointHint(e *bind.PointError) string {
	switch {
	case e.Host == "":
		return ""
	case e.Kind == bind.File:
		return "make the mount point: touch " + e.Host
	}
	return "make the mount point: mkdir -p " + e.Host
}

func commandHint(e *env.ExecError) string {
	switch {
	case errors.Is(e, env.ErrDirectory), errors.Is(e, env.ErrNotFound), errors.Is(e, env.ErrNoFile):
		return "the command has to be inside the image, or in a directory that is bound into it"
	}
	return ""
}

// imageHint is about images that are there and cannot be used.
func imageHint(err error) string {
	switch {
	case errors.Is(err, sif.ErrTruncated), errors.Is(err, squash.ErrCorrupt), errors.Is(err, sif.ErrFormat),
		errors.Is(err, image.ErrEmpty):
		return "the file is damaged or incomplete: compare its checksum with the original's, or get it again"
	case errors.Is(err, sif.ErrNoPrimary):
		return "siftool list IMAGE shows what it holds"
	case errors.Is(err, squash.ErrUnsupported):
		return "make it again: unsquashfs -d root IMAGE && mksquashfs root new.squashfs -comp zstd"
	case errors.Is(err, image.ErrExt):
		return "copy its files into a squashfs image: mkdir mnt && fuse2fs -o ro IMAGE mnt && mksquashfs mnt new.squashfs"
	case errors.Is(err, image.ErrEncrypted):
		return "build it again without encryption, or decrypt it where its key is"
	}
	return ""
}
