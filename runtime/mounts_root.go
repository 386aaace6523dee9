package runtime

import (
	"bytes"
	"strconv"

	"coracle/bind"
)

// rootFiles makes sure that root has a name, and that apt does not insist on another user where there is none. The
// image's own tables stay what they are, so that programs inside can add users and groups to them.
func (m *mounter) rootFiles() {
	m.rootEntry("/etc/passwd", tableEntry{"root", 0, ":0:root:/root:/bin/sh"})
	m.rootEntry("/etc/group", tableEntry{"root", 0, ":"})
	const apt = "/etc/apt/apt.conf.d"
	if m.hasDir(apt) && identify(m.req, m.facts).way == FakerootFilter {
		// apt fetches as the user _apt and looks whether it has become that user.
		m.add(bind.Op{Type: bind.Data, Target: apt + "/99-coracle-fakeroot", Content: []byte("APT::Sandbox::User \"root\";\n"),
			Optional: true, Why: "--fakeroot"})
	}
}

// rootEntry adds an entry to a table that has nothing for its id.
func (m *mounter) rootEntry(name string, e tableEntry) {
	old, err := m.view.ReadFile(name, maxTable)
	if err == nil && !hasID(old, e.id) {
		m.table(name, []tableEntry{e})
	}
}

// hasID tells whether a line of a passwd or group file is for id.
func hasID(table []byte, id int) bool {
	for line := range bytes.Lines(table) {
		f := bytes.SplitN(line, []byte{':'}, 4)
		if len(f) == 4 && string(f[2]) == strconv.Itoa(id) {
			return true
		}
	}
	return false
}
