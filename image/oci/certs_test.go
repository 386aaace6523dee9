package oci

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// clientCert makes a certificate that signs itself.
func clientCert(t *testing.T) (cert *x509.Certificate, certText, keyText []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ada"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

// A registry with a certificate of an authority that the system does not know, and that wants one of the client, is reached with what
// the directories have for it.
func TestCertificates(t *testing.T) {
	f := newFake(t)
	client, cert, key := clientCert(t)
	srv := httptest.NewUnstartedServer(f)
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	srv.TLS.ClientCAs.AddCert(client)
	srv.Config.ErrorLog = quietLog()
	srv.StartTLS()
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "https://")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	for _, tt := range []struct {
		name  string
		files map[string][]byte // below certs.d/HOST
		first string            // a file in a directory of that name that is looked at before; "" none
		is    func(error) bool
	}{
		{name: "both", files: map[string][]byte{"ca.crt": authority, "client.cert": cert, "client.key": key}, is: isNil},
		{name: "other names, and what is neither", files: map[string][]byte{"a.crt": authority, "b.cert": cert, "b.key": key, "README": nil}, is: isNil},
		{name: "nothing", is: isUnverified},
		{name: "the first directory counts", first: "x", files: map[string][]byte{"ca.crt": authority, "client.cert": cert, "client.key": key}, is: isUnverified},
		{name: "no authority", files: map[string][]byte{"client.cert": cert, "client.key": key}, is: isUnverified},
		{name: "no client", files: map[string][]byte{"ca.crt": authority}, is: func(err error) bool { return errors.Is(err, ErrNoCert) }},
		{name: "no key", files: map[string][]byte{"client.cert": cert}, is: isCertError},
		{name: "no certificate", files: map[string][]byte{"client.key": key}, is: isCertError},
		{name: "another key", files: map[string][]byte{"client.cert": authority, "client.key": key}, is: isCertError},
		{name: "junk", files: map[string][]byte{"ca.crt": []byte("junk")}, is: isCertError},
		{name: "large", files: map[string][]byte{"ca.crt": make([]byte, maxCert+1)}, is: isCertError},
	} {
		dir, before := t.TempDir(), t.TempDir()
		if tt.files != nil {
			os.MkdirAll(filepath.Join(dir, host), 0o700)
		}
		for name, text := range tt.files {
			os.WriteFile(filepath.Join(dir, host, name), text, 0o600)
		}
		if tt.first != "" {
			os.MkdirAll(filepath.Join(before, host), 0o700)
		}
		s, err := Find(context.Background(), "docker://"+host+"/team/app", &Options{CertDirs: []string{before, dir}})
		if err == nil {
			s.Close()
		}
		if !tt.is(err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func isNil(err error) bool        { return err == nil }
func isCertError(err error) bool  { return errors.As(err, new(*CertError)) }
func isUnverified(err error) bool { return errors.As(err, new(*tls.CertificateVerificationError)) }

func TestCertDirs(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want []string
	}{
		{map[string]string{"HOME": "/h"}, []string{"/h/.config/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d"}},
		{map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, []string{"/x/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d"}},
		{nil, []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}},
	} {
		if got := CertDirs(func(key string) string { return tt.env[key] }); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("CertDirs(%v) = %q, want %q", tt.env, got, tt.want)
		}
	}
	for _, host := range []string{"", ".", "..", "a/b"} {
		if conf, err := certificates(host, []string{t.TempDir()}); conf != nil || err != nil {
			t.Errorf("certificates(%q) = %v, %v", host, conf, err)
		}
	}
}

// What registries.conf calls insecure may have any certificate, or speak without encryption: pulling, tokens and pushing.
func TestInsecure(t *testing.T) {
	for _, secure := range []bool{false, true} {
		f := &takingRegistry{fakeRegistry: newFake(t)}
		f.tokens = true
		srv := httptest.NewUnstartedServer(f)
		srv.Config.ErrorLog = quietLog()
		if secure {
			srv.StartTLS()
		} else {
			srv.Start()
		}
		defer srv.Close()
		f.url = srv.URL
		_, host, _ := strings.Cut(srv.URL, "://")
		conf := filepath.Join(t.TempDir(), "registries.conf")
		os.WriteFile(conf, []byte("[[registry]]\nlocation = \""+host+"\"\ninsecure = true\n"), 0o600)
		o := &Options{RegistriesFiles: []string{conf}}
		img, err := Open(context.Background(), "docker://"+host+"/team/app", o)
		if err != nil {
			t.Errorf("encrypted %v: %v", secure, err)
			continue
		}
		img.Close()
		text := bytes.Repeat([]byte("x"), 1<<17)
		if _, err := Push(context.Background(), bytes.NewReader(text), int64(len(text)), "x.sif", "oras://"+host+"/team/app:x", o); err != nil {
			t.Errorf("encrypted %v: push: %v", secure, err)
		}
		if !bytes.Equal(f.blobs[DigestOf(text)], text) {
			t.Errorf("encrypted %v: push: other bytes arrived", secure)
		}
	}
}

// quietLog keeps handshakes that fail on purpose out of the tests' output.
func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }
