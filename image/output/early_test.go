package output

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSyncEarly(t *testing.T) {
	both(t, func(t *testing.T, create func(string, bool) (*File, error), dir string) {
		path := filepath.Join(dir, "x")
		f, err := create(path, false)
		if err != nil {
			t.Fatal(err)
		}
		var synced atomic.Int64 // the file's size then
		f.early = newEarly(f.File, func(file *os.File) error {
			fi, err := file.Stat()
			synced.Store(fi.Size())
			return errors.Join(err, datasync(file))
		})
		want := bytes.Repeat([]byte("late"), earlyStep/4)
		f.Write(want)
		if _, err := f.WriteAt(want, earlyStep); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); synced.Load() == 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		f.Seek(0, io.SeekEnd)
		f.WriteString("last")
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if synced.Load() < earlyStep || len(got) != 2*earlyStep+4 || !bytes.HasPrefix(got, want) || err != nil {
			t.Errorf("synced at %d bytes, %d bytes in the end, %v", synced.Load(), len(got), err)
		}
	})
}

// An error that the kernel has told once does not get lost.
func TestSyncEarlyError(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(filepath.Join(dir, "x"), 0o644, false)
	if err != nil {
		t.Fatal(err)
	}
	f.early = newEarly(f.File, func(*os.File) error { return unix.EIO })
	if n, err := f.ReadFrom(bytes.NewReader(make([]byte, earlyStep+1))); n != earlyStep+1 || err != nil {
		t.Fatalf("ReadFrom() = %d, %v", n, err)
	}
	<-f.early.done
	if err := f.Commit(); !errors.Is(err, unix.EIO) {
		t.Errorf("Commit() = %v, want %v", err, unix.EIO)
	}
	if got := names(t, dir); len(got) > 0 {
		t.Errorf("%v is left", got)
	}
}

// A file that is given up is closed in the end.
func TestSyncEarlyClose(t *testing.T) {
	f, err := Create(filepath.Join(t.TempDir(), "x"), 0o644, false)
	if err != nil {
		t.Fatal(err)
	}
	f.SyncEarly()
	f.Write(make([]byte, earlyStep))
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Stat() after Close() = %v", err)
	}
}

// Room that was found beforehand does not show.
func TestReserve(t *testing.T) {
	both(t, func(t *testing.T, create func(string, bool) (*File, error), dir string) {
		path := filepath.Join(dir, "x")
		f, err := create(path, false)
		if err != nil {
			t.Fatal(err)
		}
		f.Reserve(1 << 20)
		f.Reserve(1 << 62) // more than there is
		f.WriteString("whole")
		if err := errors.Join(f.Truncate(5), f.Commit()); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); string(b) != "whole" || err != nil {
			t.Errorf("the file has %q, %v", b, err)
		}
	})
}
