package env

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for _, tt := range []struct {
		in           Text
		json, quoted string
	}{
		{"", `""`, "''"},
		{"plain", `"plain"`, "plain"},
		{"/a/b:c=d", `"/a/b:c=d"`, "/a/b:c=d"},
		{"a b", `"a b"`, "'a b'"},
		{"it's", `"it's"`, `'it'\''s'`},
		{"a\nb\tc\x01", `"a\nb\tc\u0001"`, `$'a\nb\tc\x01'`},
		{"grün", `"grün"`, "'grün'"},
		{"\ufffd", `"` + "\ufffd" + `"`, "'\ufffd'"}, // a valid replacement character is not an error
		{"\xff", `{"base64":"/w=="}`, `$'\xff'`},
		{"it's \xc3", `{"base64":"aXQncyDD"}`, `$'it\'s \xc3'`},
	} {
		data, err := json.Marshal(tt.in)
		if err != nil || string(data) != tt.json {
			t.Errorf("Marshal(%q) = %s, %v; want %s", tt.in, data, err, tt.json)
		}
		var back Text
		if err := json.Unmarshal(data, &back); err != nil || back != tt.in {
			t.Errorf("Unmarshal(%s) = %q, %v; want %q", data, back, err, tt.in)
		}
		if got := tt.in.Quoted(); got != tt.quoted {
			t.Errorf("%q.Quoted() = %s; want %s", string(tt.in), got, tt.quoted)
		}
	}
	for _, bad := range []string{`{"base64":"!"}`, `{"base64":1}`, `3`, `["a"]`} {
		var text Text
		if err := json.Unmarshal([]byte(bad), &text); err == nil {
			t.Errorf("Unmarshal(%s) = %q; want an error", bad, text)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\xffb")
	f.Fuzz(func(t *testing.T, s string) {
		data, err := json.Marshal(Text(s))
		var back Text
		if err != nil || json.Unmarshal(data, &back) != nil || string(back) != s {
			t.Errorf("%q through JSON is %q (%s, %v)", s, back, data, err)
		}
		if strings.ContainsAny(Text(s).Quoted(), "\n\x1b\x7f") {
			t.Errorf("%q.Quoted() = %q holds control characters", s, Text(s).Quoted())
		}
	})
}
