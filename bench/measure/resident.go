package measure

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Resident returns how many bytes of a regular file are in the page cache: whole pages, exactly. Looking brings nothing
// in. The kernel tells the owner of a file and those who may write it; to others it says that all is there, so that
// for a file which is neither there is an error.
//
// Source: mincore(2), and can_do_mincore in Linux's mm/mincore.c.
func Resident(path string) (bytes int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0, fmt.Errorf("pages of %s: no regular file", path)
	}
	if int(st.Uid) != os.Geteuid() && unix.Access(path, unix.W_OK) != nil {
		return 0, fmt.Errorf("pages of %s: it belongs to user %d, and the kernel tells nobody else", path, st.Uid)
	}
	if st.Size == 0 {
		return 0, nil
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return 0, fmt.Errorf("map %s: %w", path, err)
	}
	defer unix.Munmap(data)
	page := int64(os.Getpagesize())
	flags := make([]byte, (st.Size+page-1)/page)
	if err := mincore(data, flags); err != nil {
		return 0, fmt.Errorf("pages of %s: %w", path, err)
	}
	for _, f := range flags {
		bytes += int64(f&1) * page
	}
	return bytes, nil
}

// Evict writes a file's new pages to the disk, and takes all of them out of the cache but those that a process has
// mapped. Other files wait for nothing: fsync(2) would write what everybody has written.
func Evict(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fd := int(f.Fd())
	if err := unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("evict %s: %w", path, err)
	}
	return nil
}
