package runtime

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

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

// rpmMacros tells rpm which paths are not the image's: those that something is mounted on so far. The package that owns /dev and
// /tmp, which every distribution of that kind has, could not be installed where they are the host's, and where it could it would
// take the user's home directory for root's.
func (m *mounter) rpmMacros() {
	if !m.req.Fakeroot {
		return
	}
	dir := "/etc/rpm"
	if !m.hasDir(dir) {
		dir = "/usr/lib/rpm/macros.d"
	}
	if !m.hasDir(dir) {
		return
	}
	var list []string
	for _, mount := range m.out {
		within := func(other string) bool { return bind.Under(mount.Target, other) }
		if !slices.ContainsFunc(list, within) && !strings.ContainsAny(mount.Target, rpmSpecial) {
			list = append(list, mount.Target)
		}
	}
	// Of the files in a directory the last one counts.
	m.add(bind.Op{Type: bind.Data, Target: dir + "/macros.zz-coracle", Content: []byte("%_netsharedpath " + strings.Join(list, ":") + "\n"),
		Optional: true, Why: "--fakeroot"})
}

// rpmSpecial are the characters that mean something in a macro of rpm, or in a list of paths.
const rpmSpecial = "%:\\{}()[]\" \t\n"

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
