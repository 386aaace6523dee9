package squash

import (
	"bufio"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	maxPathLen = 4096 // bytes of a path that FS resolves
	maxLinks   = 40   // symbolic links in one path
)

// imageFS is a Reader as an fs.FS.
type imageFS struct{ r *Reader }

var (
	_ fs.ReadDirFS  = imageFS{}
	_ fs.ReadFileFS = imageFS{}
	_ fs.StatFS     = imageFS{}
	_ fs.ReadLinkFS = imageFS{}
	_ io.ReaderAt   = (*file)(nil)
	_ io.Seeker     = (*file)(nil)
)

// FS returns the image as a file system for tests and inspection. It
// implements fs.ReadDirFS, fs.ReadFileFS, fs.StatFS and fs.ReadLinkFS; regular
// files are io.ReaderAt and io.Seeker too. Symbolic links are followed inside
// of the image; Sys of a FileInfo is the *[Inode]. A directory below itself, in
// a corrupt image, is an error that wraps [ErrCorrupt].
func (r *Reader) FS() fs.FS { return imageFS{r} }

// resolve returns the inode of a name. follow says whether to follow it if it
// is a symbolic link; links in front of it are always followed.
func (f imageFS) resolve(op, name string, follow bool) (Inode, error) {
	if !fs.ValidPath(name) {
		return Inode{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	ino, err := f.walk(name, follow)
	if err != nil {
		return Inode{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return ino, nil
}

func (f imageFS) walk(rest string, follow bool) (Inode, error) {
	root, err := f.r.Inode(f.r.Root())
	if err != nil {
		return Inode{}, err
	}
	chain := []Inode{root} // the inodes from the root to where we are
	for links := 0; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if name == ".." {
			chain = chain[:max(1, len(chain)-1)]
		}
		if name == "" || name == "." || name == ".." {
			continue
		}
		ino, err := f.step(chain, name)
		if err != nil {
			return Inode{}, err
		}
		if ino.Type != Symlink || (rest == "" && !follow) {
			chain = append(chain, ino)
			continue
		}
		text, err := f.r.Readlink(&ino)
		if err != nil {
			return Inode{}, err
		}
		if links++; links > maxLinks || len(text)+len(rest) > maxPathLen {
			return Inode{}, fs.ErrInvalid
		}
		if text[0] == '/' {
			chain = chain[:1]
		}
		rest = path.Join(text, rest) // "a/.." is "." even where a is a link: good enough to look at images
	}
	return chain[len(chain)-1], nil
}

// step looks a name up in the last directory of a chain.
func (f imageFS) step(chain []Inode, name string) (Inode, error) {
	d, err := f.r.Lookup(&chain[len(chain)-1], name)
	if err != nil {
		return Inode{}, err
	}
	if d.Type == Directory {
		for i := range chain {
			if chain[i].Ref == d.Ref {
				return Inode{}, corrupt("directory %q is below itself", name)
			}
		}
	}
	return f.r.Inode(d.Ref)
}

func (f imageFS) Open(name string) (fs.File, error) {
	ino, err := f.resolve("open", name, true)
	if err != nil {
		return nil, err
	}
	o := &file{r: f.r, name: path.Base(name), ino: ino}
	if ino.Type == Directory {
		return &dirFile{file: o}, nil
	}
	return o, nil
}

func (f imageFS) Stat(name string) (fs.FileInfo, error) {
	ino, err := f.resolve("stat", name, true)
	if err != nil {
		return nil, err
	}
	return &info{path.Base(name), ino}, nil
}

func (f imageFS) Lstat(name string) (fs.FileInfo, error) {
	ino, err := f.resolve("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return &info{path.Base(name), ino}, nil
}

func (f imageFS) ReadLink(name string) (string, error) {
	ino, err := f.resolve("readlink", name, false)
	if err != nil {
		return "", err
	}
	text, err := f.r.Readlink(&ino)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return text, nil
}

func (f imageFS) ReadDir(name string) ([]fs.DirEntry, error) {
	ino, err := f.resolve("readdir", name, true)
	if err != nil {
		return nil, err
	}
	var list []fs.DirEntry
	err = f.r.ReadDir(&ino, 0, func(d Dirent, _ Cursor) bool {
		list = append(list, f.entry(d))
		return true
	})
	if err != nil {
		err = &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return list, err
}

func (f imageFS) ReadFile(name string) ([]byte, error) {
	ino, err := f.resolve("read", name, true)
	if err != nil {
		return nil, err
	}
	var b []byte // grows with what is there, not with what the inode says
	bs := int(f.r.super.BlockSize)
	for int64(len(b)) < ino.Size && err == nil {
		var n int
		b = slices.Grow(b, min(bs, int(ino.Size)-len(b)))
		n, err = f.r.ReadAt(&ino, b[len(b):min(len(b)+bs, cap(b))], int64(len(b)))
		b = b[:len(b)+n]
	}
	if err != nil && err != io.EOF {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return b, nil
}

func (f imageFS) entry(d Dirent) fs.DirEntry {
	d.Name = strings.Clone(d.Name)
	return &dirEntry{f.r, d}
}

// info is an Inode as an fs.FileInfo.
type info struct {
	name string
	ino  Inode
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return i.ino.Size }
func (i *info) Mode() fs.FileMode  { return i.ino.Mode() }
func (i *info) ModTime() time.Time { return i.ino.ModTime() }
func (i *info) IsDir() bool        { return i.ino.Type == Directory }
func (i *info) Sys() any           { return &i.ino }

// dirEntry is a Dirent as an fs.DirEntry.
type dirEntry struct {
	r *Reader
	d Dirent
}

func (e *dirEntry) Name() string      { return e.d.Name }
func (e *dirEntry) IsDir() bool       { return e.d.Type == Directory }
func (e *dirEntry) Type() fs.FileMode { return e.d.Type.Mode() }
func (e *dirEntry) Info() (fs.FileInfo, error) {
	ino, err := e.r.Inode(e.d.Ref)
	return &info{e.d.Name, ino}, err
}

// file is an open inode.
type file struct {
	r    *Reader
	name string
	ino  Inode
	off  int64
	buf  *bufio.Reader // of what follows off, one block long; nil before the first Read
}

func (f *file) Stat() (fs.FileInfo, error) { return &info{f.name, f.ino}, nil }
func (f *file) Close() error               { return nil }

func (f *file) Read(p []byte) (int, error) {
	if f.buf == nil {
		if f.ino.Type != Regular {
			return 0, ErrNotRegular
		}
		rest := io.NewSectionReader(f, f.off, f.ino.Size-f.off)
		f.buf = bufio.NewReaderSize(rest, int(f.r.super.BlockSize))
	}
	n, err := f.buf.Read(p)
	f.off += int64(n)
	return n, err
}

func (f *file) ReadAt(p []byte, off int64) (int, error) { return f.r.ReadAt(&f.ino, p, off) }

func (f *file) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += f.off
	case io.SeekEnd:
		off += f.ino.Size
	}
	if off < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, fs.ErrInvalid
	}
	f.off, f.buf = off, nil
	return off, nil
}

// dirFile is an open directory.
type dirFile struct {
	*file
	at Cursor
}

func (f *dirFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
}

func (f *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	var list []fs.DirEntry
	err := f.r.ReadDir(&f.ino, f.at, func(d Dirent, next Cursor) bool {
		list = append(list, imageFS{f.r}.entry(d))
		f.at = next
		return n <= 0 || len(list) < n
	})
	if err == nil && n > 0 && len(list) == 0 {
		err = io.EOF
	}
	return list, err
}
