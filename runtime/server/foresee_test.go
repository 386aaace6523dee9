package server

import "testing"

// What has been foreseen is used for the very same image only.
func TestForeseenImage(t *testing.T) {
	im := Image{Path: "/a.sif", Offset: 4096, Size: 8192, Device: 1, Inode: 2, Length: 16384, ModTime: 3, Programs: []string{"/bin/true"}}
	for _, tt := range []struct {
		name   string
		change func(*Image)
		want   bool
	}{
		{"the same", func(*Image) {}, true},
		{"another program", func(o *Image) { o.Programs = nil }, true},
		{"another name", func(o *Image) { o.Path = "/b.sif" }, false},
		{"another partition", func(o *Image) { o.Offset = 0 }, false},
		{"of another size", func(o *Image) { o.Size = 4096 }, false},
		{"another disk", func(o *Image) { o.Device = 2 }, false},
		{"another file", func(o *Image) { o.Inode = 3 }, false},
		{"longer", func(o *Image) { o.Length++ }, false},
		{"changed", func(o *Image) { o.ModTime++ }, false},
		{"an ext file system", func(o *Image) { o.Ext = true }, false},
		{"writable", func(o *Image) { o.Writable = true }, false},
		{"a file without a name", func(o *Image) { o.Sent = true }, false},
	} {
		other := im
		tt.change(&other)
		if got := im.is(&other); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Only a standby foresees, and what it has begun outlives the configuration that it gets.
func TestForesee(t *testing.T) {
	var c Config
	c.Foresee(Image{}, nil)
	if c.foreseen != nil {
		t.Error("a server that knows its images has foreseen one")
	}
	if c.foreseen.take(&c, nil) != nil {
		t.Error("an image that was not foreseen has been taken")
	}
	begun := &foresight{}
	c = Config{Key: "old", memory: func() int64 { return 7 }, foreseen: begun}
	c.Set(&Config{Key: "new"})
	if c.Key != "new" || c.foreseen != begun || c.memory() != 7 {
		t.Errorf("after Set: %+v", c)
	}
}
