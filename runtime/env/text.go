package env

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Text is a string of any bytes but NUL, as argv and the environment hold them.
//
// In JSON it is a string when its bytes are valid UTF-8 and {"base64": "…"} when they
// are not, so that every byte survives the journey.
type Text string

// encoded is the form of a [Text] that is not valid UTF-8.
type encoded struct {
	Base64 string `json:"base64"`
}

// MarshalJSON implements [json.Marshaler].
func (t Text) MarshalJSON() ([]byte, error) {
	if simple(string(t)) {
		data := make([]byte, 0, len(t)+2)
		return append(append(append(data, '"'), t...), '"'), nil
	}
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(encoded{base64.StdEncoding.EncodeToString([]byte(t))})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Text) UnmarshalJSON(data []byte) error {
	if n := len(data); n >= 2 && data[0] == '"' && simple(string(data[1:n-1])) {
		*t = Text(data[1 : n-1])
		return nil
	}
	if len(data) > 0 && data[0] == '{' {
		var e encoded
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		raw, err := base64.StdEncoding.DecodeString(e.Base64)
		if err != nil {
			return fmt.Errorf("text in base64: %w", err)
		}
		*t = Text(raw)
		return nil
	}
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*t = Text(s)
	return nil
}

// simple says whether JSON holds a string as it is. Nearly all variables are like that,
// and encoding/json takes many times longer.
func simple(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Quoted returns t as a shell would accept it: as it is when nothing in it is special,
// else in single quotes, or in the form $'…' when it holds control characters or is not
// valid UTF-8. It is meant for people (--dry-run, messages).
func (t Text) Quoted() string {
	if t != "" && strings.Trim(string(t), wordBytes) == "" {
		return string(t)
	}
	plain := utf8.ValidString(string(t)) && !strings.ContainsFunc(string(t), func(r rune) bool { return r < ' ' || r == 0x7f })
	if plain {
		return "'" + strings.ReplaceAll(string(t), "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for len(t) > 0 {
		r, n := utf8.DecodeRuneInString(string(t))
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\'' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f || (r == utf8.RuneError && n == 1):
			fmt.Fprintf(&b, `\x%02x`, t[0])
		default:
			b.WriteRune(r)
		}
		t = t[n:]
	}
	b.WriteByte('\'')
	return b.String()
}

// wordBytes are the bytes that no shell treats specially anywhere in a word.
const wordBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%^"

// Texts converts strings of any bytes. No strings give nil, as JSON does when they are left out.
func Texts(list []string) []Text {
	if len(list) == 0 {
		return nil
	}
	texts := make([]Text, len(list))
	for i, s := range list {
		texts[i] = Text(s)
	}
	return texts
}

// Strings is the inverse of [Texts].
func Strings(list []Text) []string {
	if len(list) == 0 {
		return nil
	}
	strs := make([]string, len(list))
	for i, t := range list {
		strs[i] = string(t)
	}
	return strs
}
