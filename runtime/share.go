package runtime

import (
	"fmt"
	"os"
	"strings"

	"coracle/runtime/server"
)

// protocol is the version of what launches and image servers say to each other, the Config and the
// reply included. A program with another one does not share.
const protocol = 2

// shareKey is what launches have in common that share an image server: the caller, the job, the
// id maps and the images, down to the files' identity. "" means that nothing is shared, and private why.
func shareKey(req *Request, facts *Facts, p *Plan) (key, private string) {
	switch {
	case req.Instance != "":
		return "", "an instance"
	case req.NoShare:
		return "", "--no-share"
	case facts.Scope == "":
		return "", "/proc does not tell which job this is"
	case !p.Limits.Zero():
		return "", "limits of its own"
	case p.Upper.Kind == UpperImage:
		return "", "it writes to an image"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "protocol=%d\nuid=%d\ngid=%d\nuids=%v\ngids=%v\n%s", protocol, facts.UID, facts.GID, p.UIDs, p.GIDs, facts.Scope)
	if p.Extract.Dir != "" {
		fmt.Fprintf(&b, "extract=%s\n", p.Extract.Dir)
	}
	for _, r := range append([]Root{p.Root}, p.Images...) {
		if r.Descriptor > 0 { // nobody else has that file
			return "", "--disable-cache"
		}
		if r.served() {
			fmt.Fprintf(&b, "image=%d:%d:%d:%d:%d:%d\n", r.Device, r.Inode, r.Length, r.ModTime, r.Offset, r.Size)
		}
	}
	return b.String(), ""
}

// Ask finds out how many containers the image server has that this launch would join.
func (p *Plan) Ask() {
	if p.Share != "" {
		p.Running = server.Count(os.Getuid(), p.Share)
	}
}
