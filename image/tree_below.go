package image

import "coracle/bind"

// below shows the directory at root of a tree as a tree.
type below struct {
	tree bind.Tree
	root string // "/upper"
}

func (t below) at(path string) string {
	if path == "/" {
		return t.root
	}
	return t.root + path
}

func (t below) Lstat(path string) (bind.Entry, error)      { return t.tree.Lstat(t.at(path)) }
func (t below) ReadDir(path string) ([]string, error)      { return t.tree.ReadDir(t.at(path)) }
func (t below) ReadFile(p string, n int64) ([]byte, error) { return t.tree.ReadFile(t.at(p), n) }
