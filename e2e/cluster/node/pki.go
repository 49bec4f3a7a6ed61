package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pkiDir holds the certificates and keys, inside the node.
const pkiDir = libDir + "/kubernetes/pki"

// validity of every certificate: a test cluster does not live a year, and no test shall depend on their renewal.
const validity = 365 * 24 * time.Hour

// authority is a certificate authority of the cluster.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// identity is a certificate with its key, both in PEM.
type identity struct {
	certificate, key []byte
}

// request says what a certificate is for.
type request struct {
	commonName   string
	organization []string
	hosts        []string
	usages       []x509.ExtKeyUsage
}

var (
	clientAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	serverAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	peerAuth   = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
)

func newAuthority(commonName string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	unsigned, err := unsignedCertificate(commonName)
	if err != nil {
		return nil, err
	}
	unsigned.IsCA, unsigned.BasicConstraintsValid = true, true
	unsigned.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, unsigned, unsigned, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key, pem: encodeCertificate(der)}, nil
}

func (a *authority) issue(r request) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	unsigned, err := unsignedCertificate(r.commonName)
	if err != nil {
		return identity{}, err
	}
	unsigned.Subject.Organization = r.organization
	unsigned.KeyUsage = x509.KeyUsageDigitalSignature
	unsigned.ExtKeyUsage = r.usages
	for _, host := range r.hosts {
		if ip := net.ParseIP(host); ip != nil {
			unsigned.IPAddresses = append(unsigned.IPAddresses, ip)
		} else {
			unsigned.DNSNames = append(unsigned.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, unsigned, a.certificate, key.Public(), a.key)
	if err != nil {
		return identity{}, err
	}
	encoded, err := encodeKey(key)
	if err != nil {
		return identity{}, err
	}
	return identity{certificate: encodeCertificate(der), key: encoded}, nil
}

func unsignedCertificate(commonName string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	// An hour back: clocks of pods and node are one, but the machine's may be set while the cluster runs.
	from := time.Now().Add(-time.Hour)
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    from,
		NotAfter:     from.Add(validity),
	}, nil
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// writePKI makes three authorities, as kubeadm does, and every certificate that the components need. The cluster's own authority
// also signs the kubeconfigs, so it is returned.
func writePKI(layout Layout) (*authority, error) {
	cluster, err := newAuthority("kubernetes")
	if err != nil {
		return nil, err
	}
	etcd, err := newAuthority("etcd")
	if err != nil {
		return nil, err
	}
	// A separate one, because whoever holds a certificate of this authority may claim to be any user.
	frontProxy, err := newAuthority("front-proxy")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"ca.crt": cluster.pem, "etcd-ca.crt": etcd.pem, "front-proxy-ca.crt": frontProxy.pem}
	if files["ca.key"], err = encodeKey(cluster.key); err != nil {
		return nil, err
	}
	// Service account tokens: the controller manager signs them, the apiserver checks them.
	tokens, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if files["service-account.key"], err = encodeKey(tokens); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		file string
		by   *authority
		request
	}{
		{"etcd", etcd, request{"etcd", nil, []string{"localhost", "127.0.0.1"}, peerAuth}},
		{"apiserver-etcd-client", etcd, request{"kube-apiserver", nil, nil, clientAuth}},
		{"apiserver", cluster, request{"kube-apiserver", nil, apiserverNames(), serverAuth}},
		{"apiserver-kubelet-client", cluster, request{"kube-apiserver-kubelet-client", []string{"system:masters"}, nil, clientAuth}},
		{"front-proxy-client", frontProxy, request{"front-proxy-client", nil, nil, clientAuth}},
		{"kubelet", cluster, request{"system:node:" + HostName, []string{"system:nodes"}, []string{HostName, Address}, serverAuth}},
	} {
		issued, err := c.by.issue(c.request)
		if err != nil {
			return nil, fmt.Errorf("certificate %s: %w", c.file, err)
		}
		files[c.file+".crt"], files[c.file+".key"] = issued.certificate, issued.key
	}
	dir := layout.Lib("kubernetes", "pki")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return cluster, nil
}

// apiserverNames are the names and addresses by which a client may reach the apiserver.
func apiserverNames() []string {
	return []string{
		"localhost", "127.0.0.1", Address, apiserverClusterIP, HostName,
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + ClusterDomain,
	}
}

// pki is the path of a file of [pkiDir].
func pki(file string) string { return filepath.Join(pkiDir, file) }
