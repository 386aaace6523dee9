package runtime

import (
	"reflect"
	"testing"
)

func TestMergeTable(t *testing.T) {
	me := tableEntry{"ada", 1500, ":1500::/home/ada:/bin/sh"}
	const line = "ada:x:1500:1500::/home/ada:/bin/sh\n"
	for _, tt := range []struct{ name, old, want string }{
		{"appended", "root:x:0:0::/root:/bin/sh\n", "root:x:0:0::/root:/bin/sh\n" + line},
		{"no newline at the end", "root:x:0:0::/:", "root:x:0:0::/:\n" + line},
		{"empty file", "", line},
		{"the same user", "ada:x:1500:1:old:/x:/y\nb:x:2:2:::\n", line + "b:x:2:2:::\n"},
		{"another user with the id", "ubuntu:x:1500:1500::/home/ubuntu:\n", line + "ubuntu:x:1500:1500::/home/ubuntu:\n"},
		{"another id for the name", "a:x:1:1:::\nada:x:7:7:::\n", "a:x:1:1:::\n" + line + "ada:x:7:7:::\n"},
		{"both", "ubuntu:x:1500:::\nada:x:1500:::\n", line + "ubuntu:x:1500:::\n"},
		{"odd lines stay", "+::::::\n\n#x\nada\n", "+::::::\n\n#x\n" + line + "ada\n"},
	} {
		if got := string(mergeTable([]byte(tt.old), []tableEntry{me})); got != tt.want {
			t.Errorf("%s: mergeTable = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTableEntries(t *testing.T) {
	f := Facts{UID: 7, GID: 8, User: "u", Gecos: "a:b", LoginSh: "", Groups: []int{8, 9, 10}, GroupName: "g", GroupTags: map[int]string{9: "h"}}
	for home, want := range map[string]string{"/h": ":8::/h:/bin/sh", "": ":8::/:/bin/sh", "/x:y": ":8::/:/bin/sh"} {
		if got := passwdEntry(&f, home); len(got) != 1 || got[0] != (tableEntry{"u", 7, want}) {
			t.Errorf("passwdEntry(home %q) = %+v, want tail %q", home, got, want)
		}
	}
	want := []tableEntry{{"g", 8, ":u"}, {"h", 9, ":u"}} // 10 has no name
	if got := groupEntries(&f); !reflect.DeepEqual(got, want) {
		t.Errorf("groupEntries = %+v, want %+v", got, want)
	}
	f.User = ""
	if got := passwdEntry(&f, "/h"); got != nil {
		t.Errorf("passwdEntry without a name = %+v, want none", got)
	}
}
