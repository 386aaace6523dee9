package probe

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"coracle/runtime"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// SubIDs looks for the subordinate ids of the caller, whose login name is name, and for the programs that map them.
// It is for launches that want them: none of this is read otherwise.
func SubIDs(root string, c Caller, name string) runtime.SubIDs {
	uids, _ := readFile(root + "/etc/subuid")
	gids, _ := readFile(root + "/etc/subgid")
	ids := runtime.SubIDs{
		UIDs:       userns.ParseSubIDs(string(uids), name, c.UID),
		GIDs:       userns.ParseSubIDs(string(gids), name, c.UID),
		Free:       userns.FreeSubIDs(string(uids), string(gids)),
		NewUIDMap:  mapHelper(root, "newuidmap"),
		NewGIDMap:  mapHelper(root, "newgidmap"),
		NoNewPrivs: c.NoNewPrivs,
	}
	if root == "" && name != "" && len(ids.UIDs) == 0 && len(ids.GIDs) == 0 && fromService(root) {
		ids.UIDs, ids.GIDs = getsubids(name), getsubids("-g", name)
	}
	return ids
}

// fromService tells whether a directory service has subordinate ids.
//
// Source: nsswitch.conf(5) and shadow's subid plugins: "subid: sss".
func fromService(root string) bool {
	b, _ := readFile(root + "/etc/nsswitch.conf")
	for line := range strings.Lines(string(b)) {
		if service, ok := strings.CutPrefix(strings.TrimSpace(line), "subid:"); ok {
			return strings.TrimSpace(service) != "files"
		}
	}
	return false
}

// getsubids asks the host's own name service: a static program cannot load its plugins.
func getsubids(args ...string) []userns.SubRange {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/usr/bin/getsubids", args...).Output()
	if err != nil {
		return nil
	}
	return userns.ParseGetsubids(string(out))
}

func sum(ranges []userns.SubRange) (n int64) {
	for _, r := range ranges {
		n += int64(r.Count)
	}
	return n
}

// mapHelper returns the path of a helper for id maps that has the right to do its work: by a setuid bit or
// a file capability that its mount does not disregard. "": there is none.
func mapHelper(root, name string) string {
	for _, dir := range []string{"/usr/bin/", "/bin/", "/usr/sbin/", "/usr/local/bin/", "/run/wrappers/bin/"} {
		p := root + dir + name
		fi, err := os.Stat(p)
		if err != nil {
			continue
		}
		var st unix.Statfs_t
		if unix.Statfs(p, &st) == nil && st.Flags&unix.ST_NOSUID != 0 && root == "" {
			continue
		}
		if fi.Mode()&fs.ModeSetuid != 0 {
			return dir + name
		}
		if n, err := unix.Getxattr(p, "security.capability", nil); err == nil && n > 0 {
			return dir + name
		}
	}
	return ""
}
