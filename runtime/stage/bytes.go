package stage

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Paths are bytes, JSON strings are Unicode: encoding/json replaces what is not valid UTF-8. So that a
// directory with a Latin-1 name can be bound, such bytes travel as code points of a range
// that nobody uses, and so do, byte by byte, the code points of that range themselves.

// first is where the range of 256 code points starts: the end of a private-use plane.
const first = 0x10FF00

// lead are the first two bytes of every code point of the range in UTF-8.
const lead = "\xf4\x8f"

// marshal is json.Marshal for a pointer to a document whose strings may hold any bytes.
func marshal(document any) ([]byte, error) {
	doc, err := json.Marshal(document)
	if err != nil || !bytes.Contains(doc, []byte(`\ufffd`)) && !bytes.Contains(doc, []byte(lead)) {
		return doc, err
	}
	c := reflect.New(reflect.TypeOf(document).Elem()) // a shallow copy: enough for the top level
	c.Elem().Set(reflect.ValueOf(document).Elem())
	return json.Marshal(mapStrings(c.Elem(), wrap).Addr().Interface())
}

// unmarshal is the inverse of marshal.
func unmarshal(doc []byte, document any) error {
	if err := json.Unmarshal(doc, document); err != nil {
		return err
	}
	if bytes.Contains(doc, []byte(lead)) {
		v := reflect.ValueOf(document).Elem()
		v.Set(mapStrings(v, unwrap))
	}
	return nil
}

// mapStrings returns an addressable copy of v in which f has been applied to every string. Fields that
// do not travel (unexported, or tagged so) stay as they are, and so do types that encode themselves.
func mapStrings(v reflect.Value, f func(string) string) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	if _, ok := v.Interface().(json.Marshaler); ok {
		return out
	}
	switch v.Kind() {
	case reflect.String:
		out.SetString(f(v.String()))
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && field.Tag.Get("json") != "-" {
				out.Field(i).Set(mapStrings(v.Field(i), f))
			}
		}
	case reflect.Slice:
		if !v.IsNil() && v.Type().Elem().Kind() != reflect.Uint8 {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(mapStrings(v.Index(i), f))
			}
		}
	}
	return out
}

func inRange(r rune) bool { return r >= first && r <= utf8.MaxRune }

func wrap(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || inRange(r) {
			for _, c := range []byte(s[i : i+n]) {
				b.WriteRune(first + rune(c))
			}
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func unwrap(s string) string {
	var b strings.Builder
	for _, r := range s {
		if inRange(r) {
			b.WriteByte(byte(r - first))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
