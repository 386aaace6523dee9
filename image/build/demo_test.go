package build

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"coracle/image/oci"
)

func TestDemo(t *testing.T) {
	ref := os.Getenv("DEMO")
	if ref == "" {
		t.Skip()
	}
	start := time.Now()
	img, err := oci.Open(context.Background(), ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(os.Getenv("DEMO_OUT"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := Convert(context.Background(), img, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Truncate(res.Size)
	f.Close()
	fmt.Printf("%+v %v layers %d\n", res, time.Since(start), img.Layers())
}
