package oci

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// CertDirs lists the directories with certificates of registries: the user's, the machine's, and Docker's. env is os.Getenv.
//
// Source: containers-certs.d(5).
func CertDirs(env func(string) string) []string {
	var dirs []string
	if dir := env("XDG_CONFIG_HOME"); dir != "" {
		dirs = append(dirs, filepath.Join(dir, "containers/certs.d"))
	} else if home := env("HOME"); home != "" {
		dirs = append(dirs, filepath.Join(home, ".config/containers/certs.d"))
	}
	return append(dirs, "/etc/containers/certs.d", "/etc/docker/certs.d")
}

// A CertError says that a certificate or key for a registry cannot be used.
type CertError struct {
	Path string
	Err  error
}

func (e *CertError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }

// Unwrap returns Err.
func (e *CertError) Unwrap() error { return e.Err }

// maxCert bounds a file of certificates, in bytes.
const maxCert = 4 << 20

// certificates returns whom to trust, and who to be, at a host: what the first of dirs has that has a directory called as the host
// is, with its port if the reference has one. There, *.crt are authorities that are trusted beside the system's, and NAME.cert with
// NAME.key is the client's own certificate. Without such a directory the result is nil. The error is a *[CertError].
func certificates(host string, dirs []string) (*tls.Config, error) {
	if host == "" || host != filepath.Base(host) || strings.HasPrefix(host, ".") {
		return nil, nil
	}
	for _, dir := range dirs {
		dir = filepath.Join(dir, host)
		list, err := os.ReadDir(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission): // as Podman does: others may be meant by it
			continue
		case err != nil:
			return nil, &CertError{dir, errors.Unwrap(err)}
		}
		return readCertificates(dir, list)
	}
	return nil, nil
}

func readCertificates(dir string, list []fs.DirEntry) (*tls.Config, error) {
	conf := &tls.Config{}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		var err error
		switch filepath.Ext(path) {
		case ".crt":
			err = addAuthority(conf, path)
		case ".cert":
			err = addClient(conf, path, strings.TrimSuffix(path, ".cert")+".key")
		case ".key":
			if _, serr := os.Stat(strings.TrimSuffix(path, ".key") + ".cert"); serr != nil {
				err = errors.New("there is no certificate, *.cert, with this key")
			}
		}
		if err != nil {
			return nil, &CertError{path, err}
		}
	}
	return conf, nil
}

// addAuthority trusts the certificates of a file.
func addAuthority(conf *tls.Config, path string) error {
	text, err := readCert(path)
	if err != nil {
		return err
	}
	if conf.RootCAs == nil {
		if conf.RootCAs, err = x509.SystemCertPool(); err != nil {
			conf.RootCAs = x509.NewCertPool()
		}
	}
	if !conf.RootCAs.AppendCertsFromPEM(text) {
		return errors.New("no certificate in it (PEM)")
	}
	return nil
}

// addClient shows a certificate to registries that ask for one.
func addClient(conf *tls.Config, cert, key string) error {
	certText, err := readCert(cert)
	if err != nil {
		return err
	}
	keyText, err := readCert(key)
	if err != nil {
		return fmt.Errorf("its key %s: %w", key, err)
	}
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return err
	}
	conf.Certificates = append(conf.Certificates, pair)
	return nil
}

// readCert reads a small file. The error has no path.
func readCert(path string) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCert+1))
	if err == nil && len(text) > maxCert {
		err = fmt.Errorf("more than %d bytes", maxCert)
	}
	return text, err
}
