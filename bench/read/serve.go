package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"golang.org/x/sys/unix"

	"coracle/squash"
	"coracle/squash/fuse"
)

// serve mounts args[0] on the directory args[1], says so on stdout, and
// unmounts at the end of stdin. A processor profile goes to args[2].
func serve(args []string) error {
	img, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer img.Close()
	st, err := img.Stat()
	if err != nil {
		return err
	}
	r, err := squash.Open(img, st.Size(), nil)
	if err != nil {
		return err
	}
	if len(args) > 2 {
		out, err := os.Create(args[2])
		if err != nil {
			return err
		}
		defer out.Close()
		if err := pprof.StartCPUProfile(out); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/dev/fuse: %w", err)
	}
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd, os.Getuid(), os.Getgid())
	if err := unix.Mount("bench", args[1], "fuse", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	fmt.Println("ready")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		for unix.Unmount(args[1], 0) == unix.EBUSY {
			time.Sleep(20 * time.Millisecond)
		}
	}()
	server, err := fuse.New(r, &fuse.Options{Log: func(s string) { fmt.Fprintln(os.Stderr, s) }})
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 2) // as package runtime/server has it, which tells why
	return server.Serve(fd)
}
