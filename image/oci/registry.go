package oci

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const userAgent = "coracle"

// A registry is a client of one repository at one registry, or at a mirror of it.
//
// Source: OCI distribution specification 1.1, "Pull".
type registry struct {
	name   Name   // what is asked for; logins are filed under it
	host   string // host or host:port to talk to
	prefix string // repository at that host
	scheme string // "https" or "http"
	o      *Options
	client *http.Client

	mu   sync.Mutex
	auth string // Authorization header that worked last
	cred *Credential
}

// headerTimeout is how long a request waits until its answer begins.
const headerTimeout = 60 * time.Second

// newClient returns a client that follows ten redirections, as far as anybody needs.
func newClient(t *http.Transport) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return fmt.Errorf("%w: redirections without end", ErrRegistry)
		}
		return nil
	}}
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    30 * time.Second,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: 1 << 20,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
	}
}

// newRegistry returns a client for the repository at an endpoint. The error is a *[CertError].
func newRegistry(n Name, e endpoint, o *Options) (*registry, error) {
	t := newTransport()
	var err error
	if t.TLSClientConfig, err = certificates(e.host, o.CertDirs); err != nil {
		return nil, err
	}
	r := &registry{name: n, host: e.host, prefix: e.repository, scheme: "https", o: o, client: newClient(t)}
	if o.NoHTTPS {
		r.scheme = "http"
	}
	if e.insecure {
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{}
		}
		t.TLSClientConfig.InsecureSkipVerify = true
		r.client.Transport = &lenient{Transport: t, host: e.host}
	}
	return r, nil
}

// A lenient transport talks to one host without encryption when that speaks nothing else, as registries.conf allows for what it
// calls insecure.
type lenient struct {
	*http.Transport
	host  string
	plain atomic.Bool
}

// RoundTrip belongs to http.RoundTripper.
func (l *lenient) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" || req.URL.Host != l.host {
		return l.Transport.RoundTrip(req)
	}
	if !l.plain.Load() {
		resp, err := l.Transport.RoundTrip(req)
		if err == nil || !speaksHTTP(err) {
			return resp, err
		}
		l.plain.Store(true)
	}
	again := req.Clone(req.Context())
	again.URL.Scheme = "http"
	if req.GetBody != nil {
		var err error
		if again.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	return l.Transport.RoundTrip(again)
}

// speaksHTTP tells whether a server has answered without encryption where it was expected.
func speaksHTTP(err error) bool {
	var header tls.RecordHeaderError
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &header) && string(header.RecordHeader[:]) == "HTTP/"
}

// refused tells whether a server has ended the conversation about encryption, which it does for want of a certificate.
func refused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

func (r *registry) credential() (Credential, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cred == nil {
		c := r.o.Login
		if c.empty() {
			var err error
			if c, err = FindCredential(context.Background(), r.o.AuthFiles, r.name); err != nil {
				return Credential{}, err
			}
		}
		r.cred = &c
	}
	return *r.cred, nil
}

// get sends a GET request for a path of the repository and logs in when asked to. The
// answer has a status of 2xx; any other is an error of this package.
func (r *registry) get(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	return r.fetch(ctx, r.scheme+"://"+r.host+"/v2/"+r.prefix+"/"+path, "repository:"+r.prefix+":pull", header)
}

// fetch is get for any address of the registry; scope is what a login is asked for.
func (r *registry) fetch(ctx context.Context, address, scope string, header http.Header) (*http.Response, error) {
	return r.do(ctx, request{method: http.MethodGet, address: address, scope: scope, header: header})
}

// A request is one for the registry, or for a server that it names for an upload.
type request struct {
	method  string
	address string
	scope   string // what a login is asked for
	header  http.Header
	body    io.ReaderAt // nil: none
	size    int64       // of body, in bytes
}

// do sends a request, and logs in when asked to. The answer has a status of 2xx; any other is an error of this package.
func (r *registry) do(ctx context.Context, q request) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		r.mu.Lock()
		auth := r.auth
		r.mu.Unlock()
		req, err := q.request(ctx)
		if err != nil {
			return nil, err
		}
		if auth != "" && req.URL.Host == r.host {
			req.Header.Set("Authorization", auth)
		}
		resp, err := r.client.Do(req)
		if err != nil {
			return nil, networkError(err)
		}
		if resp.StatusCode/100 == 2 {
			return resp, nil
		}
		if resp.StatusCode != http.StatusUnauthorized || attempt > 0 {
			defer resp.Body.Close()
			return nil, r.statusError(resp)
		}
		resp.Body.Close()
		if auth, err = r.authorize(ctx, resp, q.scope); err != nil {
			return nil, err
		}
		r.mu.Lock()
		r.auth = auth
		r.mu.Unlock()
	}
}

// request returns q as the HTTP client takes it, for one attempt.
func (q *request) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, q.address, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReference, err)
	}
	for key, values := range q.header {
		req.Header[key] = values
	}
	req.Header.Set("User-Agent", userAgent)
	if q.body != nil {
		req.ContentLength = q.size
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(q.body, 0, q.size)), nil }
		req.Body, err = req.GetBody()
	}
	return req, err
}

// A statusError is an answer of a registry that is no success.
type statusError struct {
	status  int
	message string // the registry's own words
	retry   time.Duration
	err     error
}

func (e *statusError) Error() string {
	if e.message == "" {
		return fmt.Sprintf("%v (status %d)", e.err, e.status)
	}
	return fmt.Sprintf("%v (status %d: %s)", e.err, e.status, e.message)
}

func (e *statusError) Unwrap() error { return e.err }

// statusError makes an error of an answer.
func (r *registry) statusError(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	e := &statusError{status: resp.StatusCode, message: registryMessage(text)}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.retry = time.Duration(min(s, 60)) * time.Second
	}
	if e.status == http.StatusBadRequest && resp.Request.URL.Scheme == "http" && wantsHTTPS(text) {
		return ErrOnlyHTTPS
	}
	switch e.status {
	case http.StatusUnauthorized:
		if c, err := r.credential(); err == nil && c.empty() {
			e.err = ErrLogin
		} else {
			e.err = ErrDenied
		}
	case http.StatusForbidden:
		e.err = ErrDenied
	case http.StatusNotFound:
		e.err = ErrNotFound
	case http.StatusTooManyRequests:
		e.err = ErrLimited
	default:
		e.err = ErrRegistry
	}
	return e
}

// wantsHTTPS tells whether a server complains that it was not spoken to in HTTPS, in the words of Go's or of nginx's.
func wantsHTTPS(text []byte) bool {
	return bytes.Contains(text, []byte("HTTP request to an HTTPS server")) || bytes.Contains(text, []byte("HTTP request was sent to HTTPS port"))
}

// registryMessage returns what a registry says about an error.
//
// Source: OCI distribution specification, "Error Codes".
func registryMessage(text []byte) string {
	var answer struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(text, &answer) != nil || len(answer.Errors) == 0 {
		return ""
	}
	e := answer.Errors[0]
	if e.Message == "" {
		e.Message = e.Code
	}
	return shorten(e.Message)
}

// networkError names what is behind an error of the HTTP client, without the address, which may hold a key.
func networkError(err error) error {
	if speaksHTTP(err) {
		return ErrPlainHTTP
	}
	if refused(err) {
		return fmt.Errorf("%w: %w", ErrNoCert, errors.Unwrap(err))
	}
	var failed *url.Error
	if !errors.As(err, &failed) {
		return err
	}
	if u, perr := url.Parse(failed.URL); perr == nil && u.Host != "" {
		return fmt.Errorf("%s: %w", u.Host, failed.Err)
	}
	return failed.Err
}

// maxTries is how often a request is sent.
const maxTries = 5

// temporary reports whether another try may help, and after how long.
func temporary(err error, try int) (time.Duration, bool) {
	var s *statusError
	if errors.As(err, &s) {
		if s.status != http.StatusTooManyRequests && s.status/100 != 5 && s.status != http.StatusRequestTimeout {
			return 0, false
		}
		if s.retry > 0 {
			return s.retry, true
		}
	} else if !isNetwork(err) {
		return 0, false
	}
	return time.Second / 4 << try, true
}

func isNetwork(err error) bool {
	var op net.Error
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return false
	}
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) || errors.Is(err, ErrNoCert) || errors.Is(err, context.Canceled) {
		return false
	}
	return errors.As(err, &op) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, errStalled)
}

// Unreachable tells whether an error is that there was no connection to a server.
func Unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && op.Net != "unix" || errors.As(err, new(*net.DNSError))
}

// retry calls f until it succeeds, fails for good or has been called often enough.
func retry[T any](ctx context.Context, f func() (T, error)) (T, error) {
	for try := 0; ; try++ {
		v, err := f()
		if err == nil || ctx.Err() != nil {
			return v, err
		}
		wait, ok := temporary(err, try)
		if !ok || try == maxTries-1 {
			return v, err
		}
		if serr := sleep(ctx, wait); serr != nil {
			return v, serr
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
