//go:build !lean

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"coracle/image"
	"coracle/image/build"
	"coracle/image/cache"
	"coracle/image/oci"
	"coracle/image/output"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

// A maker fetches images and makes files of them.
type maker struct {
	c       *cli
	oci     oci.Options
	build   build.Options
	cache   *cache.Cache // or nil
	show    *progress
	started time.Time
}

func (c *cli) getenv(key string) string { return getenv(c.env, key) }

// softMemory is how much memory, in bytes, the garbage collector lets through before it goes
// about more often. Nearly nothing of what a tree of a million files takes has pointers, so
// that looking at it costs little.
const softMemory = 192 << 20

// newMaker resolves flags and environment.
func (c *cli) newMaker(s *sourceFlags, w *writerFlags) (*maker, error) {
	debug.SetGCPercent(50) // memory counts against the job's limit, and little of it is garbage
	debug.SetMemoryLimit(softMemory)
	m := &maker{c: c, started: time.Now()}
	var err error
	if m.oci, err = s.ociOptions(c); err != nil {
		return nil, err
	}
	if m.build.Squash, err = w.options(); err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(c.getenv("SLURM_CPUS_PER_TASK")); err == nil && n > 0 && m.build.Squash.Workers == 0 {
		m.build.Squash.Workers = min(n, 1024)
	}
	if s.maxSize != "" {
		if m.build.MaxSize, err = parseSize(s.maxSize); err != nil {
			return nil, usageErrorf("--max-size: %v", err)
		}
	}
	if text := c.getenv("SOURCE_DATE_EPOCH"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, usageErrorf("SOURCE_DATE_EPOCH=%q is no number of seconds", text)
		}
		m.build.Time = &n
	}
	if !s.disableCache {
		if err := m.openCache(); err != nil {
			return nil, err
		}
	}
	m.show = newProgress(c)
	m.oci.BlobProgress = m.show.blob
	m.build.Progress = m.show.converted
	return m, nil
}

func (m *maker) openCache() error {
	dir, err := cache.Dir(m.c.getenv)
	if errors.Is(err, cache.ErrNoDir) { // as in some batch jobs: HOME is not set
		return nil
	}
	if err != nil {
		return err
	}
	if m.cache, err = cache.Open(dir); err != nil {
		return err
	}
	m.cache.Waiting = func(holder string) { m.show.note("waiting for " + holder + ", which fetches the same") }
	m.oci.Blobs = m.cache
	m.build.Keeper = newKeeper(m.cache)
	return nil
}

// ociOptions says where and how images are looked for.
func (s *sourceFlags) ociOptions(c *cli) (oci.Options, error) {
	o := oci.Options{
		AuthFiles: oci.AuthFiles(s.authFile, c.getenv), RegistriesFiles: oci.RegistriesFiles(c.getenv), CertDirs: oci.CertDirs(c.getenv),
		NoHTTPS: s.noHTTPS, DockerHost: s.dockerHost, TempDir: s.temp(c),
		Login: oci.Credential{Username: s.user, Password: s.password},
	}
	if o.DockerHost == "" {
		o.DockerHost = c.getenv("DOCKER_HOST")
	}
	o.Storage, o.StorageMaps = c.storage, c.storageMaps
	for _, name := range []string{s.arch, s.platform} {
		if name == "" {
			continue
		}
		p, err := oci.ParsePlatform(name)
		if err != nil {
			return o, usageErrorf("%v", err)
		}
		o.Platform = p
	}
	if s.login {
		var err error
		if o.Login, err = askLogin("--docker-login", "", "set CORACLE_DOCKER_USERNAME and CORACLE_DOCKER_PASSWORD, or log in before: "+c.program+" registry login --help"); err != nil {
			return o, err
		}
	}
	return o, nil
}

// interruptible returns a context that ends with the signals that end programs, and what
// turns its end into the exit status that a shell would see.
func interruptible() (context.Context, func(error) error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		s := <-signals
		signal.Stop(signals) // a second one ends us at once
		cancel(&signalError{s.(syscall.Signal)})
	}()
	return ctx, func(err error) error {
		var s *signalError
		if err != nil && errors.As(context.Cause(ctx), &s) {
			return &exitError{128 + int(s.signal)}
		}
		return err
	}
}

type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string { return e.signal.String() }

// makeFile makes the image file at path from ref.
func (c *cli) makeFile(path, ref string, force bool, s *sourceFlags, w *writerFlags) error {
	m, err := c.newMaker(s, w)
	if err != nil {
		return err
	}
	ctx, cause := interruptible()
	return cause(m.file(ctx, path, ref, force))
}

func (m *maker) file(ctx context.Context, path, ref string, force bool) error {
	defer m.show.stop()
	if dir := filepath.Dir(path); !exists(dir) {
		return &fs.PathError{Op: output.OpCreate, Path: dir, Err: fs.ErrNotExist}
	}
	f, err := output.Create(path, 0o777, force)
	if err != nil {
		return err
	}
	defer f.Close()
	f.SyncEarly()
	made, err := m.fill(ctx, f, ref, filepath.Dir(path))
	if err == nil {
		kept := make(chan struct{})
		go func() { // the disk is busy; and knowing of an image that is not there does no harm
			defer close(kept)
			m.keep(path, made.Kept)
		}()
		err = f.Commit()
		<-kept
	}
	if err != nil {
		return full(err)
	}
	m.show.stop()
	m.closing(path, made)
	return nil
}

// full keeps, of an error about a disk that is full, what was being written: it is neither the source's fault nor a part's of it.
func full(err error) error {
	var path *fs.PathError
	if (errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)) && errors.As(err, &path) && !errors.As(err, new(*oci.SpoolError)) {
		return path
	}
	return err
}

// A made is what has become of a source.
type made struct {
	build.Result
	digest oci.Digest
	comp   string
}

// A target is a file that an image is written to: an *[os.File], or an *[output.File], which has the disk take part of it early.
type target interface {
	io.Writer
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Fd() uintptr
}

// fill writes the image that ref names into f, which lies in dir.
func (m *maker) fill(ctx context.Context, f target, ref, dir string) (made, error) {
	if oci.IsFile(ref) {
		src, err := oci.FindFile(ctx, ref, &m.oci)
		if err != nil {
			return made{}, err
		}
		defer src.Close()
		return m.copy(ctx, f, src, dir)
	}
	if !image.IsReference(ref) {
		return m.repack(ctx, f, ref)
	}
	src, err := oci.Find(ctx, ref, &m.oci)
	if err != nil {
		return made{}, err
	}
	defer src.Close()
	return m.convert(ctx, f, src, dir)
}

// repack writes the image file or directory at path anew.
func (m *maker) repack(ctx context.Context, f target, path string) (made, error) {
	img, err := image.Open(path)
	if err != nil {
		return made{}, err
	}
	defer img.Close()
	result, err := build.Repack(ctx, img, f, &m.build)
	if err != nil && img.Squash == nil && errors.Is(err, fs.ErrPermission) {
		return made{}, &sandboxError{"pack", path, err}
	}
	if err != nil {
		return made{}, &image.PathError{Path: path, Err: err}
	}
	if err := f.Truncate(result.Size); err != nil {
		return made{}, err
	}
	return made{result, "", m.compression()}, nil
}

// compression names how blocks are compressed.
func (m *maker) compression() string {
	if c := m.build.Squash.Compression; c != (squash.Compression{}) {
		return c.String()
	}
	return "zstd"
}

// copy writes an image file that is one already, and checks that it is.
func (m *maker) copy(ctx context.Context, f target, src *oci.File, dir string) (made, error) {
	if err := output.NeedSpace(dir, src.Size); err != nil {
		return made{}, err
	}
	if err := src.Copy(ctx, f); err != nil {
		return made{}, err
	}
	img, err := image.OpenFile(f, src.Name)
	if err != nil {
		var path *image.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return made{}, &oci.SourceError{Source: src.Name, Err: err}
	}
	defer img.Close()
	if img.Squash == nil {
		return made{}, &oci.SourceError{Source: src.Name, Err: image.ErrExt}
	}
	super := img.Squash.Super()
	return made{build.Result{Size: img.Length, Inodes: int(super.Inodes)}, src.Digest, super.Compressor.String()}, nil
}

// convert writes the image of a source that has been found.
func (m *maker) convert(ctx context.Context, f target, src *oci.Source, dir string) (made, error) {
	img, err := src.Image(ctx)
	if err != nil {
		return made{}, err
	}
	if err := m.needSpace(img, dir); err != nil {
		return made{}, err
	}
	m.show.start(img)
	defer img.Prefetch(ctx, 3)()
	result, err := build.Convert(ctx, img, f, &m.build)
	if err != nil {
		return made{}, &oci.SourceError{Source: src.Name, Err: err}
	}
	if err := f.Truncate(result.Size); err != nil {
		return made{}, err
	}
	return made{result, img.Digest, m.compression()}, nil
}

// needSpace checks that the cache has room for what is fetched, and dir for an image of about the size of its layers.
func (m *maker) needSpace(img *oci.Image, dir string) error {
	size, blobs := img.Size(), img.Missing()
	if blobs > 0 && m.cache.SharesDisk(dir) {
		size += blobs
	} else if blobs > 0 {
		if err := m.cache.NeedSpace(blobs); err != nil {
			return err
		}
	}
	return output.NeedSpace(dir, size)
}

// closing says what was made.
func (m *maker) closing(path string, r made) {
	if m.c.global.quiet || m.c.global.silent {
		return
	}
	digest := string(r.digest)
	if len(digest) > 19 {
		digest = digest[:19] + "…"
	}
	if digest != "" {
		digest += "  "
	}
	reused := ""
	if r.Reused > 0 {
		reused = fmt.Sprintf("  %d of %d layers copied", r.Reused, r.Layers)
	}
	fmt.Fprintf(m.c.err, "%s  %d MiB  %s files  %s  %s%.1f s%s\n", path, (r.Size+1<<19)>>20,
		image.Thousands(int64(r.Inodes)), r.comp, digest, time.Since(m.started).Seconds(), reused)
}
