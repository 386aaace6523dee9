package runtime

import (
	"fmt"
	"time"

	"coracle/userns"

	"golang.org/x/sys/unix"
)

// An Extract says that image files are extracted, not mounted. The zero value: they are mounted.
type Extract struct {
	Dir string // the directory that they are extracted in
	Why string
}

// A RoomError is a directory that no image can be extracted in.
type RoomError struct {
	Place Place
	Fuse  error // why images are not mounted; nil: they are not to be
}

func (e *RoomError) Error() string {
	text := fmt.Sprintf("images cannot be extracted to %s: ", e.Place.Path)
	switch {
	case e.Place.Denied != nil:
		text += e.Place.Denied.Error()
	case e.Place.FS != "":
		text += "it is on " + e.Place.FS + ", not on a disk of this node"
	default:
		text += "no program may be executed there"
	}
	if e.Fuse != nil {
		text += fmt.Sprintf("; and there is no /dev/fuse to mount them with (%v)", e.Fuse)
	}
	return text
}

// Unwrap returns what the system says.
func (e *RoomError) Unwrap() []error {
	var all []error
	for _, err := range []error{e.Place.Denied, e.Fuse} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// roomFor tells whether an image can be extracted there: an overlay of the kernel's own will do.
func (d *Place) roomFor() bool {
	return d.Denied == nil && !d.NoExec && (d.FS == "" || d.FS == "another overlay")
}

// extract decides where image files are extracted, if they are. The error is a *[RoomError].
func extract(req *Request, facts *Facts) (Extract, error) {
	why := "--unsquash"
	if !req.Unsquash {
		if facts.Fuse == nil {
			return Extract{}, nil
		}
		why = "no /dev/fuse: " + facts.Fuse.Error()
	}
	for _, place := range facts.Room {
		if place.roomFor() {
			return Extract{place.Path, why}, nil
		}
	}
	err := &RoomError{Fuse: facts.Fuse}
	if len(facts.Room) > 0 {
		err.Place = facts.Room[0]
	}
	return Extract{}, err
}

// waitForImages waits until the server behind sock has answered, or is gone, and tells waiting now and then how long
// that has taken, and at the end a negative duration. What has arrived is left for the stage that reads it: the server's
// user namespace and the images, one reply each.
func waitForImages(sock int, waiting func(time.Duration)) {
	begin, told := time.Now(), false
	for {
		set := []unix.PollFd{{Fd: int32(sock)}} // its end alone
		n, err := unix.Poll(set, 100)
		if err != nil && err != unix.EINTR || n > 0 {
			break
		}
		if arrived, err := unix.IoctlGetInt(sock, unix.SIOCINQ); err != nil || arrived >= 2*userns.ReplyLen {
			break
		}
		if took := time.Since(begin); took > patience {
			told = true
			waiting(took)
		}
	}
	if told {
		waiting(-1)
	}
}

// patience is how long a launch may take before people want to know why.
const patience = time.Second / 2
