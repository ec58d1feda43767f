package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/registry/routes"
)

// certDirs are the directories for the certificates of a host, HOST[:PORT] as image names have it, in the order of podman
// (containers-certs.d(5)), then docker's: the daemon's, rootless docker's and Docker Desktop's. The first that is there is
// used.
func certDirs(env func(string) string, uid int, root, host string) []string {
	var bases []string
	config := routes.ConfigHome(env)
	if config != "" {
		bases = append(bases, filepath.Join(config, "containers/certs.d"))
	}
	for _, base := range []string{"/etc/containers", "/usr/share/containers"} {
		if uid != 0 {
			rootless := filepath.Join(root, base, "certs.rootless.d")
			bases = append(bases, filepath.Join(rootless, fmt.Sprint(uid)), rootless)
		} else {
			bases = append(bases, filepath.Join(root, base, "certs.rootful.d"))
		}
		bases = append(bases, filepath.Join(root, base, "certs.d"))
	}
	bases = append(bases, filepath.Join(root, "/etc/docker/certs.d"))
	if config != "" {
		bases = append(bases, filepath.Join(config, "docker/certs.d"))
	}
	if home := env("HOME"); home != "" {
		bases = append(bases, filepath.Join(home, ".docker/certs.d"))
	}
	for i := range bases {
		bases[i] = filepath.Join(bases[i], host)
	}
	return bases
}

// addCerts puts the certificates for a host into a configuration: *.crt are authorities trusted beside the system's
// ($SSL_CERT_FILE and $SSL_CERT_DIR, where set, name those), NAME.cert with NAME.key is what this client shows.
func addCerts(conf *tls.Config, dirs []string) error {
	for _, dir := range dirs {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue // docker's may be for root's eyes only
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return &CertError{File: dir, Err: cause(err)}
		}
		for _, e := range entries {
			if err := addCert(conf, dir, e.Name()); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

// maxCert bounds a file of certificates, in bytes: the authorities of a whole system take a quarter of a mebibyte.
const maxCert = 4 << 20

func addCert(conf *tls.Config, dir, name string) error {
	file := filepath.Join(dir, name)
	base := strings.TrimSuffix(file, filepath.Ext(file))
	switch filepath.Ext(name) {
	case ".crt":
		raw, err := fsx.ReadFile(file, maxCert)
		if err != nil {
			return &CertError{File: file, Err: cause(err)}
		}
		if conf.RootCAs == nil {
			if conf.RootCAs, err = x509.SystemCertPool(); err != nil {
				conf.RootCAs = x509.NewCertPool()
			}
		}
		if !conf.RootCAs.AppendCertsFromPEM(raw) {
			return &CertError{File: file, Err: errors.New("no certificate in it (PEM is what is read)")}
		}
	case ".cert":
		if _, err := os.Stat(base + ".key"); err != nil {
			return &CertError{File: file, Err: fmt.Errorf("its key %s: %w; the certificate of an authority ends in .crt", filepath.Base(base)+".key", cause(err))}
		}
		pair, err := loadPair(file, base+".key")
		if err != nil {
			return &CertError{File: file, Err: fmt.Errorf("with its key: %w", cause(err))}
		}
		conf.Certificates = append(conf.Certificates, pair)
	case ".key":
		if _, err := os.Stat(base + ".cert"); err != nil {
			return &CertError{File: file, Err: fmt.Errorf("its certificate %s: %w", filepath.Base(base)+".cert", cause(err))}
		}
	}
	return nil
}

func loadPair(cert, key string) (tls.Certificate, error) {
	certText, err := fsx.ReadFile(cert, maxCert)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyText, err := fsx.ReadFile(key, maxCert)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certText, keyText)
}

// cause takes the path off an error, which is named otherwise.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// CertError is a file of certs.d that cannot be used.
type CertError struct {
	File string
	Err  error
}

// Error implements error.
func (e *CertError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }

// Unwrap gives the cause.
func (e *CertError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *CertError) Hint() string {
	return "in certs.d/HOST, *.crt are authorities, NAME.cert and NAME.key a client's certificate; mend it or take it away"
}
