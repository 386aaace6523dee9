package oci

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// What can be wrong with an image or with where it is. The errors of this package wrap
// one of them, or what the operating system or the network says.
var (
	ErrReference = errors.New("not a valid reference")
	ErrNotFound  = errors.New("no such image")
	ErrDigest    = errors.New("the contents do not have the digest that names them")
	ErrManifest  = errors.New("not a valid manifest")
	ErrConfig    = errors.New("not a valid image configuration")
	ErrSchema1   = errors.New("an image of the obsolete schema 1, which is no longer read")
	ErrForeign   = errors.New("the layer is foreign: its publisher does not let registries hand it out")
	ErrEncrypted = errors.New("the layer is encrypted")
	ErrNotImage  = errors.New("not a container image")
	ErrArchive   = errors.New("not a valid image archive")
	ErrLogin     = errors.New("the registry asks for a login")
	ErrDenied    = errors.New("the registry denies access")
	ErrPlainHTTP = errors.New("the registry does not speak HTTPS")
	ErrOnlyHTTPS = errors.New("the registry speaks HTTPS only")
	ErrNoCert    = errors.New("the registry does not accept who we are")
	ErrLimited   = errors.New("the registry limits the number of downloads")
	ErrRegistry  = errors.New("the registry answers with an error")
	ErrSlow      = errors.New("the registry is too slow")
	ErrNoDaemon  = errors.New("no Docker daemon answers")
)

// A SourceError is an error about the image that Source names.
type SourceError struct {
	Source string // as the user wrote it, without a password
	Err    error
}

func (e *SourceError) Error() string { return fmt.Sprintf("%s: %v", e.Source, e.Err) }

// Unwrap returns Err.
func (e *SourceError) Unwrap() error { return e.Err }

// A PlatformError says that an image is for other platforms. It is an [ErrNotFound].
type PlatformError struct {
	Want Platform
	Have []Platform
}

func (e *PlatformError) Error() string {
	have := make([]string, 0, len(e.Have))
	for _, p := range e.Have {
		have = append(have, p.String())
	}
	if len(have) == 0 {
		return fmt.Sprintf("the image is not for %v", e.Want)
	}
	return fmt.Sprintf("the image is not for %v (it is for %s)", e.Want, strings.Join(have, ", "))
}

// Is makes errors.Is(err, ErrNotFound) hold.
func (e *PlatformError) Is(target error) bool { return target == ErrNotFound }

// A ChoiceError says that a source holds several images, or not the one that was asked for.
type ChoiceError struct {
	Want  string   // the tag or name; "" none was given
	Names []string // what there is
}

func (e *ChoiceError) Error() string {
	names := e.Names[:min(len(e.Names), 8)]
	list := strings.Join(names, ", ")
	if len(names) < len(e.Names) {
		list += ", …"
	}
	switch {
	case e.Want == "":
		return fmt.Sprintf("there are %d images, choose one: %s", len(e.Names), list)
	case len(names) == 0:
		return fmt.Sprintf("no image %q", e.Want)
	}
	return fmt.Sprintf("no image %q; there are: %s", e.Want, list)
}

// Is makes errors.Is(err, ErrNotFound) hold.
func (e *ChoiceError) Is(target error) bool { return target == ErrNotFound }

// A TagError says that a repository has no image of a tag. It is an [ErrNotFound].
type TagError struct {
	Tag  string
	Have []string // tags that there are, not necessarily all
	Err  error
}

func (e *TagError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *TagError) Unwrap() error { return e.Err }

// Nearest returns at most n of the tags that there are: those that begin as the wanted one does, then the last in the
// order of names.
func (e *TagError) Nearest(n int) []string {
	list := slices.Clone(e.Have)
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(commonPrefix(b, e.Tag)-commonPrefix(a, e.Tag), strings.Compare(b, a))
	})
	return list[:min(n, len(list))]
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
