package probe

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A user is an entry of the user database.
type user struct {
	Name, Gecos, Home, Shell string
	Source                   string // where it was found: one of the constants below
}

// Where a user's entry comes from.
const (
	fromPasswd  = "/etc/passwd"
	fromEnv     = "$USER and $HOME"
	fromGetent  = "getent"
	fromNowhere = ""
)

// findUser looks for the caller's entry.
//
// /etc/passwd comes first. A site's directory service (LDAP, SSSD) is behind glibc's name
// service switch, which a static program cannot load. There the environment is believed
// when $HOME is a directory that belongs to the caller: every login and every batch system
// sets it, and it costs nothing where asking the service costs milliseconds at each rank.
// Only without that is `getent passwd UID` asked, where there is one.
func findUser(root string, c Caller) user {
	uid := strconv.Itoa(c.UID)
	if b, err := readFile(root + "/etc/passwd"); err == nil {
		if u, ok := passwdEntry(b, uid); ok {
			u.Source = fromPasswd
			return u
		}
	}
	env := user{Name: lookup(c.Env, "USER"), Home: lookup(c.Env, "HOME"), Shell: lookup(c.Env, "SHELL"), Source: fromEnv}
	if env.Name == "" {
		env.Name = lookup(c.Env, "LOGNAME")
	}
	if !plausibleName(env.Name) {
		env.Name = ""
	}
	if !filepath.IsAbs(env.Home) {
		env.Home = ""
	}
	if env.Name != "" && env.Home != "" && owns(root+env.Home, c.UID) {
		return env
	}
	if c.Foreign {
		return user{Source: fromNowhere}
	}
	if root == "" {
		if u, ok := getent(uid); ok {
			u.Source = fromGetent
			return u
		}
	}
	if env.Name == "" && env.Home == "" {
		return user{Source: fromNowhere}
	}
	return env
}

// passwdEntry finds the line of uid in a passwd file.
func passwdEntry(b []byte, uid string) (user, bool) {
	for line := range bytes.Lines(b) {
		f := bytes.SplitN(bytes.TrimRight(line, "\r\n"), []byte(":"), 8)
		if len(f) == 7 && string(f[2]) == uid && len(f[0]) > 0 && f[0][0] != '#' {
			return user{Name: string(f[0]), Gecos: string(f[4]), Home: string(f[5]), Shell: string(f[6])}, true
		}
	}
	return user{}, false
}

// plausibleName reports whether s can stand in the first field of a passwd line.
func plausibleName(s string) bool {
	return s != "" && len(s) <= 256 && !strings.ContainsAny(s, ":/\n\r\t \x00")
}

func owns(dir string, uid int) bool {
	var st syscall.Stat_t
	return syscall.Stat(dir, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFDIR && int(st.Uid) == uid
}

// getent asks the host's own name service, with a deadline: a directory service that does
// not answer must not hold up a job for long.
func getent(uid string) (user, bool) {
	path, err := exec.LookPath("getent")
	if err != nil {
		path = "/usr/bin/getent" // an empty environment has no PATH
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "passwd", uid).Output()
	if err != nil {
		return user{}, false
	}
	return passwdEntry(out, uid)
}

// groupNames finds the names of gid and of groups in /etc/group. Groups that only a
// directory service knows stay without a name.
func groupNames(root string, gid int, groups []int) (string, map[int]string) {
	b, err := readFile(root + "/etc/group")
	if err != nil {
		return "", nil
	}
	want := make(map[string]int, len(groups)+1)
	want[strconv.Itoa(gid)] = gid
	for _, g := range groups {
		want[strconv.Itoa(g)] = g
	}
	var tags map[int]string
	for line := range bytes.Lines(b) {
		if len(want) == 0 {
			break
		}
		name, rest, _ := bytes.Cut(line, []byte(":"))
		_, rest, ok := bytes.Cut(rest, []byte(":"))
		num, _, ok2 := bytes.Cut(rest, []byte(":"))
		id, wanted := want[string(num)]
		if !ok || !ok2 || !wanted || len(name) == 0 || name[0] == '#' {
			continue
		}
		if tags == nil {
			tags = make(map[int]string, len(want))
		}
		tags[id] = string(name)
		delete(want, string(num))
	}
	return tags[gid], tags
}
