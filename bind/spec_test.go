package bind_test

import (
	"errors"
	"path"
	"reflect"
	"strings"
	"testing"

	"coracle/bind"
)

func spec(src, dst string) bind.Spec { return bind.Spec{Source: src, Target: dst, Why: "--bind"} }

func ro(s bind.Spec) bind.Spec { s.ReadOnly = true; return s }

func fromImage(s bind.Spec, dir, id string) bind.Spec { s.ImageSrc, s.ID = dir, id; return s }

// there is what the host has for the parsers; the working directory is /w.
func there(p string) bool {
	switch p {
	case "/a", "/b", "/a:b", "/img:1.2", "/with space", "/w/sub", "/w/r0", "/both", "/both:x", "/w":
		return true
	}
	return false
}

func TestParseBind(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []bind.Spec
	}{
		{"", nil},
		{" ,, ", nil},
		{"/a", []bind.Spec{spec("/a", "/a")}},
		{"/a/", []bind.Spec{spec("/a", "/a")}},
		{"/a/../b//", []bind.Spec{spec("/b", "/b")}},
		{"/a:/x/", []bind.Spec{spec("/a", "/x")}},
		{"/a:/x:ro", []bind.Spec{ro(spec("/a", "/x"))}},
		{"/a:/x:rw", []bind.Spec{spec("/a", "/x")}},
		{"/a:/x:rw,ro", []bind.Spec{ro(spec("/a", "/x"))}}, // read-only wins
		{"/a,/b", []bind.Spec{spec("/a", "/a"), spec("/b", "/b")}},
		{" /a , /b: /x ", []bind.Spec{spec("/a", "/a"), spec("/b", "/x")}},
		{"/a,/b:/c:ro,/d", []bind.Spec{spec("/a", "/a"), ro(spec("/b", "/c")), spec("/d", "/d")}},
		{"/a:/x:ro,/b:/y:rw,/c", []bind.Spec{ro(spec("/a", "/x")), spec("/b", "/y"), spec("/c", "/c")}},
		{"/i.sif:/x:image-src=/data,id=3,ro,/b", []bind.Spec{ro(fromImage(spec("/i.sif", "/x"), "/data", "3")), spec("/b", "/b")}},
		{"/i.sif:/x:image-src=", []bind.Spec{fromImage(spec("/i.sif", "/x"), "/", "")}},
		{"/i.sif:/x:image-src=d/", []bind.Spec{fromImage(spec("/i.sif", "/x"), "/d", "")}},
		{"/i.sif:/x:id=2", []bind.Spec{fromImage(spec("/i.sif", "/x"), "/", "2")}},
		{"sub:/x", []bind.Spec{spec("/w/sub", "/x")}},
		{".", []bind.Spec{spec("/w", "/w")}},
		{"..:/x", []bind.Spec{spec("/", "/x")}},
		{"~/x", []bind.Spec{spec("/w/~/x", "/w/~/x")}}, // the shell's affair
		{"/with space:/x y:ro", []bind.Spec{ro(spec("/with space", "/x y"))}},
		{`/c\:d`, []bind.Spec{spec("/c:d", "/c:d")}},
		{`/c\:d:/x\:y:ro`, []bind.Spec{ro(spec("/c:d", "/x:y"))}},
		{`/c\,d:/x`, []bind.Spec{spec("/c,d", "/x")}},
		{`/c\\:/x`, []bind.Spec{spec(`/c\`, "/x")}},
		{`/c\d`, []bind.Spec{spec(`/c\d`, `/c\d`)}},
		{"/a:b", []bind.Spec{}},                                 // see below: /a exists, so b is a relative destination
		{"/img:1.2", []bind.Spec{spec("/img:1.2", "/img:1.2")}}, // only the longer text exists
		{"/img:1.2:/x", []bind.Spec{spec("/img:1.2", "/x")}},
		{"/img:1.2:/x:ro,/a", []bind.Spec{ro(spec("/img:1.2", "/x")), spec("/a", "/a")}},
		{"/img:1.2:/img:1.2:ro", []bind.Spec{ro(spec("/img:1.2", "/img:1.2"))}}, // and a destination with colons
		{"/img:1.2:/img:1.2", []bind.Spec{spec("/img:1.2", "/img:1.2")}},
		{"/both:/x", []bind.Spec{spec("/both", "/x")}},                             // the short one counts where it exists
		{"/a:/x:ro,r0", []bind.Spec{ro(spec("/a", "/x")), spec("/w/r0", "/w/r0")}}, // a directory of that name
	} {
		got, err := bind.ParseBind(tt.in, "/w", there)
		if tt.want != nil && len(tt.want) == 0 {
			if !errors.Is(err, bind.ErrSpec) {
				t.Errorf("ParseBind(%q) = %+v, %v; want ErrSpec", tt.in, got, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseBind(%q) = %+v, %v; want %+v", tt.in, got, err, tt.want)
		}
	}
}

func TestParseBindErrors(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{":/x", `bind ":/x": empty source`},
		{"/a:", `bind "/a:": empty destination`},
		{"/a::ro", `bind "/a::ro": empty destination`},
		{"/a:x", `bind "/a:x": destination "x" is not an absolute path`},
		{"/a:/x:", `bind "/a:/x:": empty option after the last colon`},
		{"/a:/x:r0", `bind "/a:/x:r0": unknown bind option "r0": did you mean ro?`},
		{"/a:/x:or", `bind "/a:/x:or": unknown bind option "or": did you mean ro?`},
		{"/a:/x:image-scr=/", `bind "/a:/x:image-scr=/": unknown bind option "image-scr=/": did you mean image-src?`},
		{"/a:/x:z", `bind "/a:/x:z": unknown bind option "z"`},
		{"/a:/x:ro,rx", `bind "/a:/x:ro": unknown bind option "rx": did you mean ro?`},
		{"/a:/x:ro:y", `bind "/a:/x:ro:y": too many colons: a colon in a path is written \:`},
		{"/a:/x:id=0", `bind "/a:/x:id=0": id "0" is not the number of a partition`},
		{"/a:/x:image-src", `bind "/a:/x:image-src": image-src needs a path: image-src=/path`},
		{"/a\x00b", `bind "/a\x00b": a path holds a NUL byte`},
	} {
		got, err := bind.ParseBind(tt.in, "/w", there)
		if !errors.Is(err, bind.ErrSpec) || err.Error() != tt.want {
			t.Errorf("ParseBind(%q) = %+v, %v; want %s", tt.in, got, err, tt.want)
		}
	}
}

// Without knowledge of the host, colons always separate.
func TestParseBindBlind(t *testing.T) {
	got, err := bind.ParseBind("a,b:/c:ro,d", "/w", nil)
	want := []bind.Spec{spec("/w/a", "/w/a"), ro(spec("/w/b", "/c")), spec("/w/d", "/w/d")}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseBind = %+v, %v; want %+v", got, err, want)
	}
	if _, err := bind.ParseBind("/img:1.2:/x:ro", "/w", nil); !errors.Is(err, bind.ErrSpec) {
		t.Errorf("ParseBind with four fields: %v, want ErrSpec", err)
	}
}

func TestParseMount(t *testing.T) {
	mount := func(s bind.Spec) bind.Spec { s.Why = "--mount"; return s }
	x := mount(spec("/a", "/x"))
	for _, tt := range []struct {
		in   string
		want []bind.Spec
	}{
		{"", nil},
		{"type=bind,source=/a,destination=/x", []bind.Spec{x}},
		{"src=/a/,dst=/x/", []bind.Spec{x}},
		{"type=bind,source=/a,target=/x,rw", []bind.Spec{x}},
		{"type=bind, source=/a, target=/x", []bind.Spec{x}},
		{"source=/a,target=/x,readonly", []bind.Spec{ro(x)}},
		{"source=/a,target=/x,ro=true", []bind.Spec{ro(x)}},
		{"source=/a,target=/x,readonly=false", []bind.Spec{x}},
		{"source=sub dir,target=/x", []bind.Spec{mount(spec("/w/sub dir", "/x"))}},
		{`"source=/a,b:c","target=/x ""y"""`, []bind.Spec{mount(spec("/a,b:c", `/x "y"`))}},
		{"source=/k=v,target=/x", []bind.Spec{mount(spec("/k=v", "/x"))}},
		{"source=/i.sif,target=/x,image-src=/d,id=4", []bind.Spec{fromImage(mount(spec("/i.sif", "/x")), "/d", "4")}},
		{"source=/a,target=/x\nsource=/b,target=/y,ro\n", []bind.Spec{x, ro(mount(spec("/b", "/y")))}},
	} {
		got, err := bind.ParseMount(tt.in, "/w")
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseMount(%q) = %+v, %v; want %+v", tt.in, got, err, tt.want)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{"/a:/x", `mount "/a:/x": unknown mount key "/a:/x"`},
		{"sorce=/a,target=/x", `mount "sorce=/a,target=/x": unknown mount key "sorce": did you mean source?`},
		{"source=/a", `mount "source=/a": no destination`},
		{"target=/x", `mount "target=/x": no source`},
		{"source=,target=/x", `mount "source=,target=/x": empty source`},
		{"source=/a,target=x", `mount "source=/a,target=x": destination "x" is not an absolute path`},
		{"type=tmpfs,target=/x", `mount "type=tmpfs,target=/x": type "tmpfs" is not supported, only bind`},
		{"source=/a,target=/x,ro=2", `mount "source=/a,target=/x,ro=2": ro=2 is neither true nor false`},
		{`source=/a"b,target=/x`, `mount "source=/a\"b,target=/x": bare " in non-quoted-field`},
		{"source=/a,target=/x,id=x", `mount "source=/a,target=/x,id=x": id "x" is not the number of a partition`},
	} {
		got, err := bind.ParseMount(tt.in, "/w")
		if !errors.Is(err, bind.ErrSpec) || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("ParseMount(%q) = %+v, %v; want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestParseHome(t *testing.T) {
	home := func(src, dst string) bind.Spec { return bind.Spec{Source: src, Target: dst, Why: "--home"} }
	for _, tt := range []struct {
		in   string
		want bind.Spec
		err  error
	}{
		{in: "/a", want: home("/a", "/a")},
		{in: "/a:/srv/", want: home("/a", "/srv")},
		{in: "sub:/srv", want: home("/w/sub", "/srv")},
		{in: "/img:1.2:/srv", want: home("/img:1.2", "/srv")}, // a directory with a colon
		{in: "", err: bind.ErrSpec},
		{in: "/a:srv", err: bind.ErrSpec},
		{in: "/a:/srv:ro", err: bind.ErrSpec},
	} {
		got, err := bind.ParseHome(tt.in, "/w", there)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("ParseHome(%q) = %+v, %v; want %+v, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestParseLists(t *testing.T) {
	for _, tt := range []struct {
		f    func(string) ([]string, error)
		in   string
		want []string
		err  string
	}{
		{bind.ParseScratch, "/s, /t/,", []string{"/s", "/t"}, ""},
		{bind.ParseScratch, "s", nil, `scratch "s": destination "s" is not an absolute path`},
		{bind.ParseScratch, "/", nil, `scratch "/": the root of the container cannot be a scratch directory`},
		{bind.ParseNoMount, "tmp,cwd,/etc/hosts/", []string{"tmp", "cwd", "/etc/hosts"}, ""},
		{bind.ParseNoMount, "", nil, ""},
		{bind.ParseNoMount, "hom", nil, `no-mount "hom": unknown default mount "hom": did you mean home?`},
		{bind.ParseNoMount, "bindpaths", nil, `no-mount "bindpaths": unknown default mount "bindpaths": did you mean bind-paths?`},
	} {
		got, err := tt.f(tt.in)
		if !reflect.DeepEqual(got, tt.want) || (err != nil) != (tt.err != "") || err != nil && err.Error() != tt.err {
			t.Errorf("parse %q = %q, %v; want %q, %s", tt.in, got, err, tt.want, tt.err)
		}
	}
}

// checkSpecs tells what every parsed bind has to be.
func checkSpecs(t *testing.T, in string, specs []bind.Spec, err error) {
	if err != nil && (!errors.Is(err, bind.ErrSpec) || specs != nil) {
		t.Errorf("%q: %v with %d specs", in, err, len(specs))
	}
	for _, s := range specs {
		for _, p := range []string{s.Source, s.Target, s.ImageSrc} {
			if p != "" && (!path.IsAbs(p) || path.Clean(p) != p || strings.IndexByte(p, 0) >= 0) || s.Source == "" || s.Target == "" {
				t.Errorf("%q: %+v", in, s)
			}
		}
	}
}

func FuzzParseBind(f *testing.F) {
	for _, s := range []string{"", "/a,b:/c:ro,d", `/c\:d:/x\:y:image-src=/e,id=3`, "/img:1.2:/img:1.2:ro", `\,\\`, ":::,", "a:/x:r0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		specs, err := bind.ParseBind(s, "/w", there)
		checkSpecs(t, s, specs, err)
		specs, err = bind.ParseBind(s, "/w", nil)
		checkSpecs(t, s, specs, err)
		// What is written with escapes comes back.
		var text []string
		esc := strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`)
		for _, sp := range specs {
			if sp.Target != strings.TrimSpace(sp.Target) || sp.ImageSrc != strings.TrimSpace(sp.ImageSrc) {
				return // blanks at the ends are not kept
			}
			opts := "rw"
			if sp.ReadOnly {
				opts = "ro"
			}
			if sp.ImageSrc != "" {
				opts += ",image-src=" + esc.Replace(sp.ImageSrc)
			}
			if sp.ID != "" {
				opts += ",id=" + sp.ID
			}
			text = append(text, esc.Replace(sp.Source)+":"+esc.Replace(sp.Target)+":"+opts)
		}
		again, err := bind.ParseBind(strings.Join(text, ","), "/w", nil)
		if err != nil || !reflect.DeepEqual(again, specs) {
			t.Errorf("ParseBind(%q) = %+v; written as %q it is %+v, %v", s, specs, text, again, err)
		}
	})
}

func FuzzParseMount(f *testing.F) {
	for _, s := range []string{"", "type=bind,source=/a,target=/x,ro=true", "\"source=/a,b\",dst=/x\nsrc=b,dst=/y", `"`, "id=0,image-src"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		specs, err := bind.ParseMount(s, "/w")
		checkSpecs(t, s, specs, err)
	})
}
