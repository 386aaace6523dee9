package fusewire

import (
	"testing"
	"unsafe"
)

// TestSizes compares with sizeof in C.
func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want uintptr
	}{
		{"InHeader", unsafe.Sizeof(InHeader{}), InHeaderSize},
		{"OutHeader", unsafe.Sizeof(OutHeader{}), OutHeaderSize},
		{"EntryOut", unsafe.Sizeof(EntryOut{}), EntryOutSize},
		{"Dirent", unsafe.Sizeof(Dirent{}), DirentSize},
		{"InitOut", unsafe.Sizeof(InitOut{}), 64},
		{"AttrOut", unsafe.Sizeof(AttrOut{}), 104},
		{"SetattrIn", unsafe.Sizeof(SetattrIn{}), 88},
		{"WriteIn", unsafe.Sizeof(WriteIn{}), 40},
		{"ReadIn", unsafe.Sizeof(ReadIn{}), 40},
		{"MknodIn", unsafe.Sizeof(MknodIn{}), 16},
		{"CreateIn", unsafe.Sizeof(CreateIn{}), 16},
		{"ReleaseIn", unsafe.Sizeof(ReleaseIn{}), 24},
		{"Rename2In", unsafe.Sizeof(Rename2In{}), 16},
		{"StatfsOut", unsafe.Sizeof(StatfsOut{}), 80},
		{"FallocateIn", unsafe.Sizeof(FallocateIn{}), 32},
	} {
		if tt.got != tt.want {
			t.Errorf("%s has %d bytes, want %d", tt.name, tt.got, tt.want)
		}
	}
}

func TestView(t *testing.T) {
	b := make([]byte, 64)
	b[0] = 7
	if v := View[ForgetIn](b); v == nil || v.Lookups != 7 {
		t.Errorf("View = %+v", v)
	}
	if v := View[ForgetIn](b[:7]); v != nil {
		t.Errorf("View of 7 bytes = %+v", v)
	}
	if v := View[ForgetIn](b[4:]); v != nil {
		t.Errorf("View across = %+v", v)
	}
	if got := len(BytesOf(&WriteOut{})); got != 8 {
		t.Errorf("BytesOf has %d bytes", got)
	}
}
