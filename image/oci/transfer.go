package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What a transfer has to keep up, or it counts as broken: leastBytes in every stallTimeout.
const (
	stallTimeout = 60 * time.Second
	leastBytes   = 64 << 10
)

var errStalled = errors.New("the server stopped sending")

// A transfer reads the contents of an address, and goes on where it was when the connection breaks.
type transfer struct {
	ctx   context.Context
	get   func(ctx context.Context, header http.Header) (*http.Response, error)
	size  int64         // bytes that there are; negative: unknown
	stall time.Duration // 0: stallTimeout

	body   io.ReadCloser
	cancel context.CancelCauseFunc
	watch  *time.Timer
	at     int64 // bytes delivered
	skip   int64 // bytes of body that have been delivered before
	mark   int64 // at, when the watch was last set
	broke  int64 // at, when the connection last broke
	tries  int   // since more than a few bytes came
}

// connect asks for the rest.
func (t *transfer) connect() error {
	_, err := retry(t.ctx, func() (struct{}, error) { return struct{}{}, t.request() })
	return err
}

func (t *transfer) request() error {
	ctx, cancel := context.WithCancelCause(t.ctx)
	header := http.Header{}
	if t.at > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(t.at, 10)+"-")
	}
	resp, err := t.get(ctx, header)
	if err != nil {
		cancel(nil)
		return err
	}
	t.begin(resp, cancel)
	switch {
	case t.at == 0:
	case resp.StatusCode != http.StatusPartialContent:
		t.skip = t.at // it begins at the beginning
	case !strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(t.at, 10)+"-"):
		err = fmt.Errorf("%w: it sends another part than was asked for", ErrRegistry)
	}
	if err != nil {
		t.disconnect()
	}
	return err
}

// begin takes over an answer.
func (t *transfer) begin(resp *http.Response, cancel context.CancelCauseFunc) {
	if t.stall == 0 {
		t.stall = stallTimeout
	}
	t.body, t.cancel, t.mark = resp.Body, cancel, t.at
	t.watch = time.AfterFunc(t.stall, func() { cancel(errStalled) })
}

// Read returns what comes, from as many connections as it takes.
func (t *transfer) Read(p []byte) (int, error) {
	for {
		if t.body == nil {
			if err := t.connect(); err != nil {
				return 0, err
			}
		}
		n, err := t.next(p)
		if t.at-t.mark >= leastBytes {
			t.mark = t.at
			t.watch.Reset(t.stall)
		}
		if err == nil || err == io.EOF && (t.size < 0 || t.at >= t.size) {
			return n, err
		}
		t.disconnect()
		if err := t.again(err); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// next reads from the connection.
func (t *transfer) next(p []byte) (int, error) {
	if t.skip > 0 {
		_, err := io.CopyN(io.Discard, t.body, t.skip)
		t.skip = 0
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
	}
	n, err := t.body.Read(p)
	t.at += int64(n)
	return n, err
}

// again decides whether a broken connection is made anew, and waits.
func (t *transfer) again(err error) error {
	if t.ctx.Err() != nil {
		return context.Cause(t.ctx)
	}
	if t.at-t.broke >= leastBytes {
		t.tries = 0
	}
	t.broke = t.at
	if t.tries++; t.tries == maxTries {
		return fmt.Errorf("the connection broke %d times: %w", maxTries, err)
	}
	return sleep(t.ctx, t.stall/240<<t.tries) // a quarter of a second, doubled
}

func (t *transfer) disconnect() {
	if t.body != nil {
		t.watch.Stop()
		t.body.Close()
		t.cancel(nil)
		t.body = nil
	}
}

// Close ends the transfer.
func (t *transfer) Close() error {
	t.disconnect()
	return nil
}
