package server

import (
	"errors"
	"os"
	"strconv"
	"sync"

	"coracle/runtime/mnt"
	"coracle/userns"
)

// A Layer is what a launch needs over the image: mount points that the image lacks, empty and read-only.
//
// An overlay that a launch mounts for them is its own: it looks every name up anew, and to take it down is the last that its
// payload does before its parent hears of the end. One that the server mounts is there for all launches that need the same.
type Layer struct {
	Name string                 // other points have another name
	Make func(dir string) error // makes them in an empty directory
}

// maxLayers is how many layers a server keeps. Launches that need others mount theirs themselves.
const maxLayers = 64

var errNoLayers = errors.New("no more layers are mounted")

// layers are those that are mounted over the first image.
type layers struct {
	sync.Mutex
	image  string // where that is mounted
	attr   mnt.Attr
	mounts map[string]string // where the image with a layer is, by the layer's name
	closed bool              // no more are mounted: the kernel refuses, or the server is about to end
}

// offers tells whether a layer of that name is there, or can be mounted.
func (l *layers) offers(name string) bool {
	l.Lock()
	defer l.Unlock()
	_, there := l.mounts[name]
	return there || !l.closed && len(l.mounts) < maxLayers
}

// over returns where the image with a layer over it is mounted. The calling thread must stand in the server's own tree.
func (l *layers) over(layer *Layer) (string, error) {
	l.Lock()
	defer l.Unlock()
	if at, ok := l.mounts[layer.Name]; ok {
		return at, nil
	}
	if l.closed {
		return "", errNoLayers
	}
	at, err := l.mount(layer, "/layer"+strconv.Itoa(len(l.mounts)))
	if err != nil {
		l.closed = true
		return "", err
	}
	if l.mounts == nil {
		l.mounts = map[string]string{}
	}
	l.mounts[layer.Name] = at
	return at, nil
}

func (l *layers) mount(layer *Layer, dir string) (string, error) {
	points, at := dir+"/points", dir+"/root"
	for _, d := range []string{dir, points, at} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return "", err
		}
	}
	if err := layer.Make(points); err != nil {
		return "", err
	}
	return at, userns.MountApart("overlay", at, l.attr.MountFlags(), "lowerdir="+points+":"+l.image)
}

// detach takes the layers away from the server: each keeps the image in use.
func (l *layers) detach() {
	l.Lock()
	defer l.Unlock()
	for _, at := range l.mounts {
		mnt.Detach(at)
	}
	l.mounts, l.closed = nil, true
}
