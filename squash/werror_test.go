package squash

import (
	"errors"
	"fmt"
	"testing"
)

func checkError(t *testing.T, got, want error, format string, args ...any) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v; want %v", fmt.Sprintf(format, args...), got, want)
	}
}
