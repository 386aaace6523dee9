package runtime

import (
	"bytes"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"coracle/bind"
)

// maxTable is how long a passwd or group file of an image may be to be taken over, in bytes.
const maxTable = 1 << 20

// files mounts /etc/passwd and /etc/group with the user added, the host's resolv.conf, and
// a hostname. An image without user tables stays without.
func (m *mounter) files() {
	switch {
	case m.req.Fakeroot:
		m.rootFiles()
	case m.facts.UID != 0:
		if user := passwdEntry(m.facts, m.home); len(user) > 0 {
			m.table("/etc/passwd", user)
		}
		if groups := groupEntries(m.facts); len(groups) > 0 {
			m.table("/etc/group", groups)
		}
	}
	switch {
	case len(m.req.DNS) > 0:
		m.add(bind.Op{Type: bind.Data, Target: "/etc/resolv.conf", Content: []byte("nameserver " + strings.Join(m.req.DNS, "\nnameserver ") + "\n"),
			Why: "--dns"})
	case !m.without("/etc/resolv.conf"):
		m.optional("/etc/resolv.conf", "default")
	}
	if m.req.Hostname != "" && !m.without("/etc/hostname") {
		m.add(bind.Op{Type: bind.Data, Target: "/etc/hostname", Content: []byte(m.req.Hostname + "\n"), Optional: true,
			Why: "--hostname"})
	}
}

// table mounts the image's file name with entries merged in.
func (m *mounter) table(name string, entries []tableEntry) {
	if m.without(name) {
		return
	}
	old, err := m.view.ReadFile(name, maxTable)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			m.warnf("the user is not added to the image's %s: %v", name, err)
		}
		return
	}
	m.add(bind.Op{Type: bind.Data, Target: name, Content: mergeTable(old, entries), Optional: true, Why: "user"})
}

// A tableEntry is one line of a passwd or group file.
type tableEntry struct {
	name string
	id   int
	tail string // what follows the id, from its colon on
}

// passwdEntry is the user's line; nothing for a user without a name.
func passwdEntry(f *Facts, home string) []tableEntry {
	if f.User == "" || !isField(f.User) {
		return nil
	}
	if home == "" || !isField(home) {
		home = "/"
	}
	shell := f.LoginSh
	if shell == "" || !isField(shell) {
		shell = "/bin/sh"
	}
	gecos := f.Gecos
	if !isField(gecos) {
		gecos = ""
	}
	return []tableEntry{{f.User, f.UID, ":" + strconv.Itoa(f.GID) + ":" + gecos + ":" + home + ":" + shell}}
}

// groupEntries are the user's groups, as far as they have names, the primary one first.
func groupEntries(f *Facts) []tableEntry {
	user := f.User
	if !isField(user) {
		user = ""
	}
	list := make([]tableEntry, 0, len(f.Groups)+1)
	if f.GroupName != "" && isField(f.GroupName) {
		list = append(list, tableEntry{f.GroupName, f.GID, ":" + user})
	}
	for _, gid := range f.Groups {
		if name := f.GroupTags[gid]; gid != f.GID && name != "" && isField(name) {
			list = append(list, tableEntry{name, gid, ":" + user})
		}
	}
	return list
}

// isField tells whether s can stand in a field.
func isField(s string) bool { return !strings.ContainsAny(s, ":\n\x00") }

// mergeTable adds entries to a passwd or group file. A line with the same name and id is
// replaced. Where the file has only the name or only the id for somebody else, the entry
// goes in front of that line, because lookups take the first match. Others come last.
func mergeTable(old []byte, entries []tableEntry) []byte {
	var out bytes.Buffer
	out.Grow(len(old) + 64*len(entries))
	done := make([]bool, len(entries))
	for len(old) > 0 {
		var line []byte
		line, old, _ = bytes.Cut(old, []byte{'\n'})
		name, rest, _ := bytes.Cut(line, []byte{':'})
		_, rest, _ = bytes.Cut(rest, []byte{':'})
		id, _, _ := bytes.Cut(rest, []byte{':'})
		n, err := strconv.Atoi(string(id))
		keep := true
		for i, e := range entries {
			sameName, sameID := string(name) == e.name, err == nil && n == e.id
			if !sameName && !sameID {
				continue
			}
			if !done[i] {
				done[i] = true
				e.write(&out)
			}
			keep = keep && !(sameName && sameID)
		}
		if keep {
			out.Write(line)
			out.WriteByte('\n')
		}
	}
	for i, e := range entries {
		if !done[i] {
			e.write(&out)
		}
	}
	return out.Bytes()
}

func (e *tableEntry) write(out *bytes.Buffer) {
	out.WriteString(e.name)
	out.WriteString(":x:")
	out.WriteString(strconv.Itoa(e.id))
	out.WriteString(e.tail)
	out.WriteByte('\n')
}
